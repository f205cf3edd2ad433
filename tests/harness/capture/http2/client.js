// Node's HTTP/2 client: `node client.js WHAT`.
const http2 = require('node:http2');

const session = http2.connect('http://127.0.0.1:28080');
session.on('error', () => {});

function ask(headers, body) {
  return new Promise((resolve) => {
    const stream = session.request(headers, { endStream: body === undefined });
    stream.on('error', resolve);
    stream.on('close', resolve);
    stream.resume();
    if (body !== undefined) stream.end(body);
    stream.on('response', () => {});
  });
}

const stories = {
  // Streams side by side; the first answer comes last.
  many: () => Promise.all([
    ask({ ':path': '/slow?a=1' }),
    ask({ ':path': '/trailers' }),
    ask({ ':path': '/broken' }),
    ask({ ':path': '/missing' }),
    ask({ ':method': 'HEAD', ':path': '/hints' }),
  ]),
  push: () => ask({ ':path': '/push' }),
  cancel: () => new Promise((resolve) => {
    const stream = session.request({ ':path': '/slow' });
    stream.on('error', () => {});
    stream.on('close', resolve);
    setTimeout(() => stream.close(http2.constants.NGHTTP2_CANCEL), 50);
  }).then(() => ask({ ':path': '/trailers' })),
  upload: () => ask({ ':method': 'POST', ':path': '/upload' }, Buffer.alloc(100_000, 'x')),
  // A field of 20 KB takes a CONTINUATION.
  long: async () => {
    await ask({ ':path': '/trailers', cookie: 'c'.repeat(20_000), traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01' });
    await ask({ ':path': '/hints' });
  },
  away: async () => {
    await ask({ ':path': '/away' });
  },
};
// Whatever the server leaves open.
setTimeout(() => process.exit(), 2000).unref();
stories[process.argv[2]]().then(() => session.close());
