// client.js URL PATH MESSAGES [COUNT]: the same as client.py, by ws.
const { WebSocket } = require('ws');
const talk = require('./talk');

const [url, pattern, messages, count] = process.argv.slice(2);

function open(path) {
  const socket = new WebSocket(url + path, path.startsWith('/chat') ? ['chat'] : [], {
    perMessageDeflate: !path.startsWith('/large') && !path.startsWith('/plain'),
  });
  talk(socket, path, messages);
  socket.on('error', (error) => {
    if (socket.readyState !== WebSocket.CLOSING) throw error;
  });
}

for (let number = 0; number < Number(count || 1); number += 1) open(pattern.replace('*', number));
