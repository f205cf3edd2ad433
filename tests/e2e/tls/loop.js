// HTTPS by Node.js, whose own binary holds the library. A request for /call/... asks the service
// at UPSTREAM before it is answered.
'use strict';
const https = require('https');
const fs = require('fs');
const [port, certificate, key] = process.argv.slice(2);
const pem = fs.readFileSync(certificate);
const agent = new https.Agent({ ca: pem });

const call = (path) =>
  new Promise((resolve, reject) => {
    const host = 'localhost';
    https
      .get({ host, port: process.env.UPSTREAM, path, agent, family: 4 }, (answer) => {
        answer.resume();
        answer.on('end', resolve);
      })
      .on('error', reject);
  });

const server = https.createServer({ cert: pem, key: fs.readFileSync(key) }, async (request, answer) => {
  if (request.url.startsWith('/call/')) {
    await call(request.url.slice('/call'.length));
  }
  answer.statusCode = request.url.includes('missing') ? 404 : 200;
  answer.end('hello\n');
});
server.listen(Number(port), '127.0.0.1', () => console.log('listening on', port));
