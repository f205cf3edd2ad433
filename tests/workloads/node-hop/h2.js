// http2 in the clear, or over TLS: one session for all.
const http2 = require("http2");

const pem = process.env.STYLE === "tls" ? require("./certificate")() : null;
let session;

// Asks the own server for a path.
function get(port, path, done) {
  session ??= http2.connect(`${pem ? "https" : "http"}://127.0.0.1:${port}`, { ca: pem });
  const stream = session.request({ ":path": path, ":method": "POST" });
  let status;
  stream.on("response", (headers) => (status = headers[":status"]));
  stream.on("error", done);
  stream.on("end", () => done(null, status));
  stream.resume().end("step");
}

// Passes on what it is asked for.
function serve(onward, ready) {
  const server = pem
    ? http2.createSecureServer({ key: pem, cert: pem })
    : http2.createServer();
  server.on("stream", (stream, headers) => {
    onward(headers[":path"], (error, status) => {
      stream.respond({ ":status": error ? 502 : status });
      stream.end("passed on\n");
    });
  });
  server.listen(0, "127.0.0.1", () => ready(server.address().port));
}

// The same by requests and answers as http has them, once the whole body is there.
function serveCompatible(onward, ready) {
  const server = http2.createServer((request, response) => {
    request.resume().on("end", () => {
      onward(request.url, (error, status) => {
        response.writeHead(error ? 502 : status);
        response.end("passed on\n");
      });
    });
  });
  server.listen(0, "127.0.0.1", () => ready(server.address().port));
}

module.exports = { get, serve, serveCompatible };
