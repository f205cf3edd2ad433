// A catalog over TLS: by https, or by http2 (MODE). It asks its stock the same way.
const fs = require('fs');
const http2 = require('http2');
const https = require('https');

const { CERTIFICATES, MODE, PORT, UPSTREAM } = process.env;
const options = {
  cert: fs.readFileSync(`${CERTIFICATES}/cert.pem`),
  key: fs.readFileSync(`${CERTIFICATES}/key.pem`),
};

const agent = new https.Agent({ keepAlive: true });
let session;

function stock(path, done) {
  if (MODE === 'https') {
    https.get(UPSTREAM + path, { agent }, (answer) => answer.resume().on('end', done));
    return;
  }
  session ??= http2.connect(UPSTREAM);
  session.request({ ':path': path }).resume().on('end', done).end();
}

function handle(request, response) {
  const [, verb, number] = request.url.split('/');
  const answer = (status) => {
    response.statusCode = status;
    response.end('an item\n');
  };
  if (request.method === 'POST') request.resume().on('end', () => answer(201));
  else if (verb === 'call') stock(`/items/${number}`, () => answer(200));
  else answer({ items: 200, missing: 404 }[verb] ?? 500);
}

const server = MODE === 'https'
  ? https.createServer(options, handle)
  : http2.createSecureServer(options, handle);
server.listen(Number(PORT), '127.0.0.1', () => console.log(`listening on ${PORT}`));
