"""A client that loads TLS when it is told to, and then asks for one path a line."""

import sys

port, certificate = sys.argv[1:]
print("ready", flush=True)
sys.stdin.readline()

import http.client
import ssl

context = ssl.create_default_context(cafile=certificate)
print("loaded", flush=True)
for path in sys.stdin:
    client = http.client.HTTPSConnection("localhost", int(port), context=context)
    client.request("GET", path.strip())
    print("answered", client.getresponse().status, flush=True)
    client.close()
