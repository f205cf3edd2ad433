"""client.py URL PATH MESSAGES [COUNT]: sends that many messages and takes as many answers. A path
decides what the server does; `/large` sends long ones, `/parts` in fragments, `/gone` leaves
without a word."""

import asyncio
import os
import sys

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed


async def talk(url, path, messages):
    compression = None if path.startswith(("/large", "/plain")) else "deflate"
    protocols = ["chat"] if path.startswith("/chat") else None
    async with connect(url + path, compression=compression, subprotocols=protocols) as socket:
        if path.startswith("/many"):
            await socket.send(str(messages))
            for _ in range(messages):
                await socket.recv()
            return
        for number in range(messages):
            if path.startswith("/large"):
                await socket.send(os.urandom(200_000))
            elif path.startswith("/parts"):
                await socket.send(["one ", "two ", f"three {number}"])
            elif path.startswith("/huge"):
                await socket.send(bytes(2 << 20))
            else:
                await socket.send(f"message {number}")
            await socket.recv()
        if path.startswith("/gone"):
            socket.transport.abort()


async def main(url, path, messages, count=1):
    results = await asyncio.gather(
        *(talk(url, path.replace("*", str(n)), messages) for n in range(count)),
        return_exceptions=True,
    )
    for result in results:
        if result is not None and not isinstance(result, ConnectionClosed):
            raise result


url, path, *numbers = sys.argv[1:]
asyncio.run(main(url, path, *map(int, numbers)))
