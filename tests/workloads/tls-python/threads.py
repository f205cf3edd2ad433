"""A shop by http.server with ssl, a thread a connection; it asks its stock by http.client."""

import http.client
import os
import ssl
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

certificates = os.environ["CERTIFICATES"]
port = int(os.environ["PORT"])
trust = ssl.create_default_context(cafile=certificates + "/ca.pem")


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, status):
        body = b"an item\n"
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.answer(201)

    def do_GET(self):
        _, verb, number = self.path.split("/")[:3]
        if verb == "call":
            host = os.environ["UPSTREAM"].split("//")[1]
            behind = http.client.HTTPSConnection(host, context=trust)
            behind.request("GET", f"/items/{number}")
            behind.getresponse().read()
            behind.close()
        self.answer({"items": 200, "call": 200, "missing": 404}.get(verb, 500))

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    request_queue_size = 128


server = Server(("127.0.0.1", port), Handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(certificates + "/cert.pem", certificates + "/key.pem")
server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
print(f"listening on {port}", flush=True)
server.serve_forever()
