// What the chat does on a socket: each path behaves in one way.
module.exports = (socket, url) => {
  const path = url.split('?')[0];
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
};
