// grpc-js: each request has a method of its own, the step is metadata.
const grpc = require("@grpc/grpc-js");

const same = (bytes) => bytes;
const nothing = Buffer.alloc(0);
const server = new grpc.Server();
const pem = process.env.STYLE === "grpc-tls" ? require("./certificate")() : null;
let client;

function get(port, path, done) {
  const [, , id, step] = path.split("/");
  client ??= new grpc.Client(
    `127.0.0.1:${port}`,
    pem ? grpc.credentials.createSsl(pem) : grpc.credentials.createInsecure(),
  );
  server.register(`/hop/${id}`, handle, same, same, "unary");
  const metadata = new grpc.Metadata();
  metadata.set("step", step);
  client.makeUnaryRequest(`/hop/${id}`, same, same, nothing, metadata, (error) => done(error, 200));
}

let onward;

function handle(call, done) {
  const [, , id] = call.getPath().split("/");
  onward(`/hop/${id}/${call.metadata.get("step")[0]}`, (error, status) => {
    if (error || status !== 200) done({ code: grpc.status.UNAVAILABLE });
    else done(null, nothing);
  });
}

function serve(toOthers, ready) {
  onward = toOthers;
  const credentials = pem
    ? grpc.ServerCredentials.createSsl(null, [{ private_key: pem, cert_chain: pem }])
    : grpc.ServerCredentials.createInsecure();
  server.bindAsync("127.0.0.1:0", credentials, (error, port) => {
    if (error) throw error;
    ready(port);
  });
}

module.exports = { get, serve };
