// grpc-js: `node node.js serve PORT`, or `node node.js PORT STORY...`; messages as plain bytes.
const grpc = require('@grpc/grpc-js');

const bytes = (value) => Buffer.from(value);
const method = (path, streams) => ({
  path: `/shop.Names/${path}`,
  requestStream: streams,
  responseStream: streams,
  requestSerialize: bytes,
  requestDeserialize: bytes,
  responseSerialize: bytes,
  responseDeserialize: bytes,
});
const names = {
  get: method('Get', false),
  watch: method('Watch', true),
  unknown: method('Nonsense', false),
};

function serve(port) {
  const server = new grpc.Server();
  server.addService({ get: names.get, watch: names.watch }, {
    get(call, answer) {
      const name = call.request.toString();
      if (name === 'missing') return answer({ code: grpc.status.NOT_FOUND, details: 'no such name' });
      if (name === 'broken') return answer(new Error('broken'));
      if (name === 'slow') return setTimeout(() => answer(null, 'hello slow'), 500);
      return answer(null, `hello ${name}`);
    },
    watch(call) {
      call.on('data', (name) => {
        call.write(`hello ${name}`);
        call.write('x'.repeat(3000));
      });
      call.on('end', () => call.end());
      call.on('error', () => {});
    },
  });
  server.bindAsync(`127.0.0.1:${port}`, grpc.ServerCredentials.createInsecure(), () => {});
}

async function ask(port, stories) {
  const Client = grpc.makeGenericClientConstructor(names, 'shop.Names');
  const client = new Client(`127.0.0.1:${port}`, grpc.credentials.createInsecure());
  const unary = (call, name, options = {}) => new Promise((resolve) => {
    const under = client[call](name, options, (error, found) => resolve(error ? error.code : found));
    if (options.cancel) setTimeout(() => under.cancel(), options.cancel);
  });
  for (const story of stories) {
    switch (story) {
      case 'watch':
        await new Promise((resolve) => {
          const stream = client.watch();
          stream.on('data', () => {});
          stream.on('error', resolve);
          stream.on('status', resolve);
          for (const name of ['a', 'b', 'c']) stream.write(name);
          stream.end();
        });
        break;
      case 'unknown':
        await unary('unknown', 'x');
        break;
      case 'late':
        await unary('get', 'slow', { deadline: Date.now() + 100 });
        break;
      case 'cancel':
        await unary('get', 'slow', { cancel: 100 });
        break;
      default:
        await unary('get', story, { deadline: Date.now() + 5000 });
    }
  }
  setTimeout(() => client.close(), 100);
}

const [, , first, ...rest] = process.argv;
if (first === 'serve') serve(rest[0]);
else ask(first, rest);
