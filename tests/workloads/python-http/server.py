import os
import time
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

UPSTREAM = os.environ.get("UPSTREAM")


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, status, body):
        self.send_response(status)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        verb, _, value = self.path.split("?")[0].lstrip("/").partition("/")
        if verb == "":
            self.answer(200, b"hello\n")
        elif verb == "status":
            self.answer(int(value), f"status {value}\n".encode())
        elif verb == "slow":
            time.sleep(int(value) / 1000)
            self.answer(200, b"late\n")
        elif verb == "call" and UPSTREAM:
            self.call(self.path.partition("?")[2])
        else:
            self.answer(404, b"no such path\n")

    def do_POST(self):
        length = int(self.headers.get("Content-Length", "0"))
        body = self.rfile.read(length)
        if self.path == "/echo":
            self.answer(200, body)
        else:
            self.answer(404, b"no such path\n")

    def call(self, query):
        try:
            with urllib.request.urlopen(f"{UPSTREAM}/?{query}") as response:
                response.read()
                self.answer(response.status, b"called\n")
        except urllib.error.HTTPError as error:
            self.answer(error.code, b"called\n")
        except OSError as error:
            self.answer(502, f"{error}\n".encode())

    def log_message(self, format, *args):
        pass


if __name__ == "__main__":
    port = int(os.environ.get("PORT", "8000"))
    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    print(f"listening on {port}", flush=True)
    server.serve_forever()
