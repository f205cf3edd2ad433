// The shop by grpc-js; `Call` asks its stock.
const grpc = require('@grpc/grpc-js');
const shop = require('./shop');

const { PORT, TLS, UPSTREAM } = process.env;
const stock = UPSTREAM ? new shop.Client(shop.target(UPSTREAM), shop.credentials(UPSTREAM)) : null;
const item = Buffer.from('an item');

const behaviour = {
  Get: () => (call, done) => done(null, item),
  Find: () => (call, done) => done({ code: grpc.status.NOT_FOUND, details: 'no such item' }),
  Fail: () => (call, done) => done({ code: grpc.status.INTERNAL, details: 'as asked' }),
  Call: (number) => (call, done) => stock[`Get${number}`](Buffer.alloc(0), done),
  List: () => (call) => {
    for (const word of ['one', 'two', 'three']) call.write(Buffer.from(word));
    call.end();
  },
  Chat: () => (call) => {
    call.on('data', (message) => call.write(message));
    call.on('end', () => call.end());
  },
};

const handlers = {};
for (let number = 0; number < shop.METHODS; number += 1) {
  for (const [name, make] of Object.entries(behaviour)) handlers[name + number] = make(number);
}
const server = new grpc.Server();
server.addService(shop.service, handlers);
server.bindAsync(`127.0.0.1:${PORT}`, shop.serverCredentials(TLS), (error) => {
  if (error) throw error;
  console.log(`listening on ${PORT}`);
});
