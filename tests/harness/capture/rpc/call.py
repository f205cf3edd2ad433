"""grpcio's client: `call.py PORT STORY...`."""

import sys
import time

import grpc

channel = grpc.insecure_channel(f"127.0.0.1:{sys.argv[1]}")
get = channel.unary_unary("/shop.Names/Get")
watch = channel.stream_stream("/shop.Names/Watch")
unknown = channel.unary_unary("/shop.Names/Nonsense")


def story(name):
    if name == "watch":
        return len(list(watch(iter([b"a", b"b", b"c"]))))
    if name == "unknown":
        return unknown(b"x")
    if name == "late":
        return get(b"slow", timeout=0.1)
    if name == "cancel":
        call = get.future(b"slow")
        time.sleep(0.1)
        call.cancel()
        return call.result()
    return get(name.encode(), timeout=5)


for name in sys.argv[2:]:
    try:
        print(name, story(name), flush=True)
    except grpc.RpcError as error:
        print(name, error.code().name, flush=True)
    except grpc.FutureCancelledError:
        print(name, "CANCELLED", flush=True)
time.sleep(0.1)
channel.close()
