"""What servers and clients of the shop agree on: methods with numbers, bytes as messages."""

import os

import grpc

#: More than are called at once.
METHODS = 100
CERTIFICATES = os.environ["CERTIFICATES"]


def read(name):
    with open(f"{CERTIFICATES}/{name}", "rb") as file:
        return file.read()


def server_credentials():
    return grpc.ssl_server_credentials([(read("key.pem"), read("cert.pem"))])


def target(url):
    """Where a URL leads, and whether over TLS."""
    scheme, host = url.split("://")
    return host, scheme == "https"


def channel(module, url):
    host, tls = target(url)
    if tls:
        return module.secure_channel(host, grpc.ssl_channel_credentials(read("ca.pem")))
    return module.insecure_channel(host)


def handlers(get, find, items, fail, chat, call):
    """The service, each method as often as there are numbers."""
    made = {}
    for number in range(METHODS):
        made[f"Get{number}"] = grpc.unary_unary_rpc_method_handler(get)
        made[f"Find{number}"] = grpc.unary_unary_rpc_method_handler(find)
        made[f"List{number}"] = grpc.unary_stream_rpc_method_handler(items)
        made[f"Fail{number}"] = grpc.unary_unary_rpc_method_handler(fail)
        made[f"Chat{number}"] = grpc.stream_stream_rpc_method_handler(chat)
        made[f"Call{number}"] = grpc.unary_unary_rpc_method_handler(call(number))
    return grpc.method_handlers_generic_handler("shop.Shop", made)
