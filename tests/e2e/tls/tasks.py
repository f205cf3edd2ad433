"""HTTPS by asyncio: the library works in memory, the event loop reads and writes the socket.

A request for /call/... asks the service at UPSTREAM before it is answered.
"""

import asyncio
import os
import ssl
import sys

port, certificate, key = sys.argv[1:]
upstream = os.environ.get("UPSTREAM")
serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
serving.load_cert_chain(certificate, key)
asking = ssl.create_default_context(cafile=certificate)


async def call(path):
    reader, writer = await asyncio.open_connection("localhost", int(upstream), ssl=asking)
    head = f"GET {path} HTTP/1.1\r\nHost: localhost:{upstream}\r\nConnection: close\r\n\r\n"
    writer.write(head.encode())
    await reader.read()
    writer.close()


async def serve(reader, writer):
    try:
        while head := await reader.readuntil(b"\r\n\r\n"):
            path = head.split()[1].decode()
            if path.startswith("/call/"):
                await asyncio.sleep(0.005)
                await call(path.removeprefix("/call"))
            status = b"404 Not Found" if "missing" in path else b"200 OK"
            writer.write(b"HTTP/1.1 " + status + b"\r\nContent-Length: 6\r\n\r\nhello\n")
            await writer.drain()
    except asyncio.IncompleteReadError:
        pass
    writer.close()


async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", int(port), ssl=serving)
    print("listening on", port, flush=True)
    await server.serve_forever()


asyncio.run(main())
