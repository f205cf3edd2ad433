// Node's own client: `client.js chunked|agent|trailers|upgrade`.
const http = require('http');

const options = { host: '127.0.0.1', port: 28080 };
const what = process.argv[2];
if (what === 'chunked') {
  const request = http.request({ ...options, method: 'PUT', path: '/upload/report-2024' });
  request.on('response', (response) => response.resume());
  request.write('part one, ');
  setTimeout(() => request.end('part two'), 20);
} else if (what === 'trailers') {
  http.get({ ...options, path: '/trailers' }, (response) => response.resume());
} else if (what === 'upgrade') {
  const headers = {
    Connection: 'Upgrade', Upgrade: 'websocket', 'Sec-WebSocket-Version': 13,
    'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==',
  };
  const request = http.get({ ...options, path: '/socket', headers });
  request.on('upgrade', (_, socket) => {
    socket.write(Buffer.from([0x81, 0x82, 1, 2, 3, 4, 0x68 ^ 1, 0x69 ^ 2]));
    socket.resume();
  });
} else {
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1, timeout: 100 });
  for (const path of ['/users/1', '/users/2?fields=name', '/process/alice']) {
    http.get({ ...options, path, agent }, (response) => response.resume());
  }
}
