// What a client says on a socket, once it is open: so many messages, each after the answer to the
// one before. The path decides what they are.
const crypto = require('crypto');

module.exports = (socket, path, messages) => {
  let left = Number(messages);
  const next = () => {
    if (left === 0) {
      if (path.startsWith('/gone')) socket.terminate();
      else socket.close(1000);
      return;
    }
    left -= 1;
    if (path.startsWith('/large')) {
      socket.send(crypto.randomBytes(200_000));
    } else if (path.startsWith('/huge')) {
      socket.send(Buffer.alloc(2 << 20));
    } else if (path.startsWith('/parts')) {
      socket.send('one ', { fin: false });
      socket.send('two', { fin: true });
    } else {
      socket.send(`message ${left}`);
    }
  };
  socket.on('open', () => {
    if (path.startsWith('/many')) socket.send(messages);
    else next();
  });
  socket.on('message', () => {
    if (!path.startsWith('/many')) {
      next();
      return;
    }
    left -= 1;
    if (left === 0) socket.close(1000);
  });
};
