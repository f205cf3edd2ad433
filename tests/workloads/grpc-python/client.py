"""client.py URL COUNT CONCURRENCY MARK: by grpcio's threads or asyncio (CLIENT)."""

import asyncio
import os
import sys
import threading
import time

import grpc

import shop

METHODS = ["Get", "List", "Find", "Fail", "Call" if os.environ.get("CALLS") else "Chat"]
URL, COUNT, MANY = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])


def asked(number):
    name = METHODS[number % 5]
    return name, f"/shop.Shop/{name}{number % shop.METHODS}"


def wait():
    print("ready", flush=True)
    while not os.path.exists(os.environ["GO"]):
        time.sleep(0.02)


def by_threads():
    channel = shop.channel(grpc, URL)
    numbers = iter(range(COUNT))
    lock = threading.Lock()

    def send(name, path):
        if name == "List":
            list(channel.unary_stream(path)(b""))
        elif name == "Chat":
            list(channel.stream_stream(path)(iter([b"one", b"two"])))
        else:
            channel.unary_unary(path)(b"")

    def work():
        while True:
            with lock:
                number = next(numbers, None)
            if number is None:
                return
            try:
                send(*asked(number))
            except grpc.RpcError:
                pass

    wait()
    threads = [threading.Thread(target=work) for _ in range(MANY)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


async def by_tasks():
    async with shop.channel(grpc.aio, URL) as channel:
        numbers = iter(range(COUNT))

        async def send(name, path):
            if name == "List":
                async for _ in channel.unary_stream(path)(b""):
                    pass
            elif name == "Chat":
                async for _ in channel.stream_stream(path)(iter([b"one", b"two"])):
                    pass
            else:
                await channel.unary_unary(path)(b"")

        async def work():
            for number in numbers:
                try:
                    await send(*asked(number))
                except grpc.RpcError:
                    pass

        wait()
        await asyncio.gather(*(work() for _ in range(MANY)))


if os.environ["CLIENT"] == "tasks":
    asyncio.run(by_tasks())
else:
    by_threads()
print("sent", flush=True)
