// What servers and clients of the shop agree on: methods with numbers, bytes as messages.
const fs = require('fs');
const grpc = require('@grpc/grpc-js');

const { CERTIFICATES } = process.env;
const same = (bytes) => bytes;
const read = (name) => fs.readFileSync(`${CERTIFICATES}/${name}`);

// More than are called at once.
const METHODS = 100;

function method(name, requestStream, responseStream) {
  return {
    path: `/shop.Shop/${name}`,
    requestStream,
    responseStream,
    requestSerialize: same,
    requestDeserialize: same,
    responseSerialize: same,
    responseDeserialize: same,
  };
}

const shapes = {
  Get: [false, false], Find: [false, false], List: [false, true],
  Fail: [false, false], Chat: [true, true], Call: [false, false],
};
const service = {};
for (let number = 0; number < METHODS; number += 1) {
  for (const [name, shape] of Object.entries(shapes)) {
    service[name + number] = method(name + number, ...shape);
  }
}

module.exports = {
  METHODS,
  shapes,
  service,
  Client: grpc.makeGenericClientConstructor(service, 'Shop'),
  credentials: (url) => (url.startsWith('https')
    ? grpc.credentials.createSsl(read('ca.pem'))
    : grpc.credentials.createInsecure()),
  serverCredentials: (tls) => (tls
    ? grpc.ServerCredentials.createSsl(null, [{ cert_chain: read('cert.pem'), private_key: read('key.pem') }])
    : grpc.ServerCredentials.createInsecure()),
  target: (url) => url.split('://')[1],
};
