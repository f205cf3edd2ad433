// HTTP/2 without TLS: what nginx and Go do not do.
const http2 = require('node:http2');

const server = http2.createServer();
server.on('stream', (stream, headers) => {
  stream.on('error', () => {});
  switch (headers[':path'].split('?')[0]) {
    case '/trailers':
      stream.respond({ ':status': 200 }, { waitForTrailers: true });
      stream.on('wantTrailers', () => stream.sendTrailers({ checksum: 'abc' }));
      return stream.end('a body');
    case '/hints':
      stream.additionalHeaders({ ':status': 103, link: '</a.css>; rel=preload' });
      stream.respond({ ':status': 200 });
      return stream.end('hello');
    case '/push':
      if (!stream.pushAllowed) {
        stream.respond({ ':status': 200 });
        return stream.end('no push');
      }
      return stream.pushStream({ ':path': '/pushed' }, (error, pushed) => {
        if (!error) {
          pushed.on('error', () => {});
          pushed.respond({ ':status': 200 });
          pushed.end('pushed');
        }
        stream.respond({ ':status': 200, 'x-pushed': String(!error) });
        stream.end('hello');
      });
    case '/abort':
      stream.respond({ ':status': 200 });
      stream.write('only a part');
      return setTimeout(() => stream.session.destroy(), 50);
    case '/refuse':
      return stream.close(http2.constants.NGHTTP2_REFUSED_STREAM);
    case '/broken':
      stream.respond({ ':status': 500 }, { endStream: true });
      return;
    case '/slow':
      return setTimeout(() => {
        if (stream.destroyed) return;
        stream.respond({ ':status': 200 });
        stream.end('late');
      }, 300);
    case '/away':
      stream.respond({ ':status': 200 });
      stream.end('bye');
      return stream.session.goaway(0);
    case '/upload': {
      let size = 0;
      stream.on('data', (part) => { size += part.length; });
      return stream.on('end', () => {
        stream.respond({ ':status': 201 });
        stream.end(String(size));
      });
    }
    default:
      stream.respond({ ':status': 404 });
      return stream.end('nothing here');
  }
});
server.listen(28082, '127.0.0.1');
