// client-h2.js URL PATH MESSAGES [COUNT]: the same as client.js, all sockets over one HTTP/2 session.
const http2 = require('http2');
const { WebSocket } = require('ws');
const talk = require('./talk');

const [url, pattern, messages, count] = process.argv.slice(2);
const session = http2.connect(url.replace('ws:', 'http:'));
let left = Number(count || 1);

function open(path) {
  const stream = session.request({
    ':method': 'CONNECT', ':protocol': 'websocket', ':path': path, 'sec-websocket-version': '13',
  });
  stream.on('error', () => {});
  stream.on('close', () => {
    left -= 1;
    if (left === 0) session.close();
  });
  stream.on('response', (headers) => {
    if (headers[':status'] !== 200) throw new Error(`status ${headers[':status']}`);
    const socket = new WebSocket(null, undefined, {});
    socket._isServer = false;
    talk(socket, path, messages);
    socket.on('error', () => {});
    socket.setSocket(stream, Buffer.alloc(0), { maxPayload: 1 << 20 });
  });
}

session.once('remoteSettings', (settings) => {
  if (!settings.enableConnectProtocol) throw new Error('no WebSocket over HTTP/2 there');
  for (let number = 0; number < Number(count || 1); number += 1) {
    open(pattern.replace('*', number));
  }
});
