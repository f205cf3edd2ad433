"""A chat as people write it with websockets: each path behaves in one way."""

import asyncio
import os
import signal

from websockets.asyncio.server import serve


async def echo(socket):
    async for message in socket:
        await socket.send(message)


async def handle(socket):
    path = socket.request.path.split("?")[0]
    if path.startswith("/fail"):
        await socket.recv()
        raise RuntimeError("as asked")
    if path.startswith("/leave"):
        await socket.recv()
        await socket.close(1001, "going away")
    elif path.startswith("/abort"):
        await socket.recv()
        socket.transport.abort()
    elif path.startswith("/many"):
        for number in range(int(await socket.recv())):
            await socket.send(f"message {number}")
        await socket.wait_closed()
    elif path.startswith("/parts"):
        async for message in socket:
            await socket.ping()
            await socket.send([message, message, message])
    else:
        await echo(socket)


def choose(socket, offered):
    return "chat" if "chat" in offered else None


async def main():
    stop = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set_result, None)
    port = int(os.environ["PORT"])
    async with serve(handle, "127.0.0.1", port, select_subprotocol=choose, max_size=1 << 20):
        print(f"listening on 127.0.0.1:{port}", flush=True)
        await stop


asyncio.run(main())
