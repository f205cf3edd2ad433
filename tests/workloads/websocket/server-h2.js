// The same chat over HTTP/2 (RFC 8441): a stream is what ws takes for its socket.
const http2 = require('http2');
const { WebSocket } = require('ws');
const chat = require('./chat');

const port = Number(process.env.PORT);
const server = http2.createServer({ settings: { enableConnectProtocol: true } });
server.on('stream', (stream, headers) => {
  if (headers[':protocol'] !== 'websocket') {
    stream.respond({ ':status': 404 }, { endStream: true });
    return;
  }
  stream.respond({ ':status': 200 });
  const socket = new WebSocket(null, undefined, {});
  socket.setSocket(stream, Buffer.alloc(0), { maxPayload: 1 << 20 });
  chat(socket, headers[':path']);
});
server.listen(port, '127.0.0.1', () => console.log(`listening on 127.0.0.1:${port}`));
process.on('SIGTERM', () => process.exit(0));
