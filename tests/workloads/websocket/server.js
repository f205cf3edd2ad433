// A chat as people write it with ws.
const { WebSocketServer } = require('ws');
const chat = require('./chat');

const port = Number(process.env.PORT);
const server = new WebSocketServer({
  host: '127.0.0.1', port, perMessageDeflate: true, maxPayload: 1 << 20,
}, () => console.log(`listening on 127.0.0.1:${port}`));

server.on('connection', (socket, request) => chat(socket, request.url));
process.on('SIGTERM', () => process.exit(0));
