"""The shop by grpcio's asyncio; `Call` asks its stock."""

import asyncio
import os

import grpc

import shop


async def get(_request, _context):
    return b"an item"


async def find(_request, context):
    await context.abort(grpc.StatusCode.NOT_FOUND, "no such item")


async def items(_request, _context):
    for item in (b"one", b"two", b"three"):
        yield item


async def fail(_request, context):
    await context.abort(grpc.StatusCode.INTERNAL, "as asked")


async def chat(requests, _context):
    async for request in requests:
        yield request


async def main():
    upstream = os.environ.get("UPSTREAM")
    stock = shop.channel(grpc.aio, upstream) if upstream else None

    def call(number):
        async def ask(_request, _context):
            return await stock.unary_unary(f"/shop.Shop/Get{number}")(b"")

        return ask

    server = grpc.aio.server()
    server.add_generic_rpc_handlers([shop.handlers(get, find, items, fail, chat, call)])
    address = f"127.0.0.1:{os.environ['PORT']}"
    if os.environ.get("TLS"):
        server.add_secure_port(address, shop.server_credentials())
    else:
        server.add_insecure_port(address)
    await server.start()
    print(f"listening on {address}", flush=True)
    await server.wait_for_termination()


asyncio.run(main())
