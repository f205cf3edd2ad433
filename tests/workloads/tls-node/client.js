// client.js URL COUNT CONCURRENCY MARK: by https, http2 or fetch (CLIENT).
const fs = require('fs');
const http2 = require('http2');
const https = require('https');

const [url, count, concurrency, mark] = process.argv.slice(2);
const { CALLS, CLIENT, GO } = process.env;
const verbs = ['items', 'items', 'missing', 'broken', CALLS ? 'call' : 'items'];
const agent = new https.Agent({ keepAlive: true, maxSockets: Number(concurrency) });
let session;

const ways = {
  https(method, path, done) {
    const request = https.request(url + path, { agent, method }, (answer) => {
      answer.resume().on('end', done);
    });
    request.end(method === 'POST' ? 'name=new' : undefined);
  },
  http2(method, path, done) {
    session ??= http2.connect(url);
    const stream = session.request({ ':method': method, ':path': path });
    stream.resume().on('end', done).end(method === 'POST' ? 'name=new' : undefined);
  },
  fetch(method, path, done) {
    const body = method === 'POST' ? 'name=new' : undefined;
    fetch(url + path, { method, body }).then((answer) => answer.text()).then(done);
  },
};

let next = 0;
let open = 0;

function work() {
  if (next === Number(count)) {
    if (open === 0) {
      console.log('sent');
      // what is still on its way is sent before it ends
      setTimeout(() => process.exit(0), 100);
    }
    return;
  }
  const number = next;
  next += 1;
  open += 1;
  ways[CLIENT](number % 5 === 1 ? 'POST' : 'GET', `/${verbs[number % 5]}/${mark}n${number}`, () => {
    open -= 1;
    work();
  });
}

function wait() {
  if (!fs.existsSync(GO)) setTimeout(wait, 20);
  else for (let at = 0; at < Number(concurrency); at += 1) work();
}

console.log('ready');
wait();
