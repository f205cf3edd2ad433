// client.js URL COUNT CONCURRENCY MARK, by grpc-js.
const fs = require('fs');
const shop = require('./shop');

const [url, count, concurrency] = process.argv.slice(2);
const { CALLS, GO } = process.env;
const names = ['Get', 'List', 'Find', 'Fail', CALLS ? 'Call' : 'Chat'];
const client = new shop.Client(shop.target(url), shop.credentials(url));
const empty = Buffer.alloc(0);
let next = 0;
let open = 0;

function send(name, number, done) {
  const method = name + (number % shop.METHODS);
  if (name === 'List') {
    client[method](empty).on('error', () => {}).on('end', done).resume();
  } else if (name === 'Chat') {
    const call = client[method]();
    call.on('error', () => {}).on('end', done).resume();
    call.write(Buffer.from('one'));
    call.end(Buffer.from('two'));
  } else {
    client[method](empty, done);
  }
}

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
  send(names[number % 5], number, () => {
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
