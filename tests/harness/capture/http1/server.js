// Node's own server: bodies of every framing, trailers, upgrades, tunnels, broken answers.
const http = require('http');
const net = require('net');

const server = http.createServer((request, response) => {
  const path = request.url.split('?')[0];
  if (path === '/abort') {
    response.writeHead(200, { 'Content-Length': 1000 });
    response.write('only the beginning');
    setTimeout(() => response.destroy(), 20);
    return;
  }
  if (path === '/silent') {
    setTimeout(() => request.socket.destroy(), 20);
    return;
  }
  if (path === '/chunked') {
    response.write('first');
    setTimeout(() => response.end('second'), 20);
    return;
  }
  if (path === '/trailers') {
    response.writeHead(200, { Trailer: 'X-Sum' });
    response.write('body');
    response.addTrailers({ 'X-Sum': '42' });
    response.end();
    return;
  }
  if (path === '/hints') {
    response.writeEarlyHints({ link: '</a.css>; rel=preload' });
    response.end('hinted');
    return;
  }
  if (path === '/early') {
    response.writeHead(413);
    response.end('too much');
    return;
  }
  let size = 0;
  request.on('data', (part) => { size += part.length; });
  request.on('end', () => {
    const body = `${request.method} ${size}\n`;
    response.writeHead(200, { 'Content-Length': body.length });
    response.end(body);
  });
});
server.on('checkContinue', (request, response) => {
  if (request.url === '/refused') {
    response.writeHead(417, { 'Content-Length': 0 });
    response.end();
  } else {
    response.writeContinue();
    server.emit('request', request, response);
  }
});
server.on('upgrade', (request, socket) => {
  socket.write('HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n');
  socket.write(Buffer.from([0x81, 0x02, 0x68, 0x69]));
  setTimeout(() => socket.end(), 20);
});
server.on('connect', (request, socket) => {
  const [host, port] = request.url.split(':');
  const target = net.connect(port, host, () => {
    socket.write('HTTP/1.1 200 Connection established\r\n\r\n');
    target.pipe(socket);
    socket.pipe(target);
  });
});
server.listen(28082, '127.0.0.1');
