// A chat as people write it with ws: each path behaves in one way.
const { WebSocketServer } = require('ws');

const port = Number(process.env.PORT);
const server = new WebSocketServer({
  host: '127.0.0.1', port, perMessageDeflate: true, maxPayload: 1 << 20,
}, () => console.log(`listening on 127.0.0.1:${port}`));

server.on('connection', (socket, request) => {
  const path = request.url.split('?')[0];
  socket.on('error', () => {});
  socket.on('message', (data, binary) => {
    if (path.startsWith('/fail')) {
      socket.close(1011, 'as asked');
    } else if (path.startsWith('/leave')) {
      socket.close(1001, 'going away');
    } else if (path.startsWith('/abort')) {
      socket.terminate();
    } else if (path.startsWith('/many')) {
      for (let number = 0; number < Number(data); number += 1) socket.send(`message ${number}`);
    } else if (path.startsWith('/parts')) {
      socket.ping();
      socket.send(data, { binary, fin: false });
      socket.send(data, { binary, fin: true });
    } else {
      socket.send(data, { binary });
    }
  });
});
process.on('SIGTERM', () => process.exit(0));
