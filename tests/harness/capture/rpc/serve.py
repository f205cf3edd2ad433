"""grpcio's server: the methods of main.go, messages as plain bytes."""

import sys
import time
from concurrent import futures

import grpc


def get(request, context):
    if request == b"missing":
        context.abort(grpc.StatusCode.NOT_FOUND, "no such name")
    if request == b"broken":
        raise RuntimeError("broken")
    if request == b"slow":
        time.sleep(0.5)
    return b"hello " + request


def watch(requests, context):
    for request in requests:
        yield b"hello " + request
        yield b"x" * 3000


handlers = {
    "Get": grpc.unary_unary_rpc_method_handler(get),
    "Watch": grpc.stream_stream_rpc_method_handler(watch),
}
server = grpc.server(futures.ThreadPoolExecutor(8))
server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("shop.Names", handlers),))
port = server.add_insecure_port(f"127.0.0.1:{sys.argv[1]}")
server.start()
print(f"listening on {port}", flush=True)
server.wait_for_termination()
