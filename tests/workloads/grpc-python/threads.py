"""The shop by grpcio, a pool of threads; `Call` asks its stock."""

import os
from concurrent import futures

import grpc

import shop

stock = shop.channel(grpc, os.environ["UPSTREAM"]) if os.environ.get("UPSTREAM") else None


def get(_request, _context):
    return b"an item"


def find(_request, context):
    context.abort(grpc.StatusCode.NOT_FOUND, "no such item")


def items(_request, _context):
    yield from (b"one", b"two", b"three")


def fail(_request, context):
    context.abort(grpc.StatusCode.INTERNAL, "as asked")


def chat(requests, _context):
    yield from requests


def call(number):
    def ask(_request, _context):
        return stock.unary_unary(f"/shop.Shop/Get{number}")(b"")

    return ask


server = grpc.server(futures.ThreadPoolExecutor(max_workers=32))
server.add_generic_rpc_handlers([shop.handlers(get, find, items, fail, chat, call)])
address = f"127.0.0.1:{os.environ['PORT']}"
if os.environ.get("TLS"):
    server.add_secure_port(address, shop.server_credentials())
else:
    server.add_insecure_port(address)
server.start()
print(f"listening on {address}", flush=True)
server.wait_for_termination()
