// client.js URL PATH MESSAGES [COUNT]: the same as client.py, by ws.
const crypto = require('crypto');
const { WebSocket } = require('ws');

const [url, pattern, messages, count] = process.argv.slice(2);

function talk(path) {
  const socket = new WebSocket(url + path, path.startsWith('/chat') ? ['chat'] : [], {
    perMessageDeflate: !path.startsWith('/large') && !path.startsWith('/plain'),
  });
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
  socket.on('error', (error) => {
    if (socket.readyState !== WebSocket.CLOSING) throw error;
  });
}

for (let number = 0; number < Number(count || 1); number += 1) talk(pattern.replace('*', number));
