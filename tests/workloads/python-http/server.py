import http.client
import os
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

UPSTREAM = os.environ.get("UPSTREAM")
FAN = ThreadPoolExecutor(max_workers=24)
ONE_AT_A_TIME = threading.Lock()
KEPT = threading.local()


def fetch(path, timeout=30):
    """Over the connection that this thread keeps."""
    connection = getattr(KEPT, "connection", None)
    if connection is None:
        connection = KEPT.connection = http.client.HTTPConnection(
            urllib.parse.urlsplit(UPSTREAM).netloc, timeout=timeout
        )
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        answer.read()
        return answer.status
    except OSError:
        connection.close()
        raise


def give_up(id):
    connection = http.client.HTTPConnection(urllib.parse.urlsplit(UPSTREAM).netloc, timeout=0.05)
    try:
        connection.request("GET", f"/slow/{id}/1")
        connection.getresponse().read()
    except TimeoutError:
        pass
    finally:
        connection.close()


def work(id):
    fetch(f"/leaf/{id}/1")
    time.sleep(0.003)


def seq(id):
    fetch(f"/leaf/{id}/1")
    time.sleep(0.003)
    fetch(f"/leaf/{id}/2")


def fan(id):
    list(FAN.map(fetch, [f"/leaf/{id}/{step}" for step in (1, 2, 3)]))


def lock(id):
    with ONE_AT_A_TIME:
        fetch(f"/leaf/{id}/1")


def retry(id):
    if fetch(f"/flaky/{id}/1") == 503:
        fetch(f"/flaky/{id}/1")


def later(id):
    time.sleep(0.003)
    fetch(f"/leaf/{id}/1")


def after(id):
    FAN.submit(later, id)


JOBS = {
    "work": work,
    "seq": seq,
    "fan": fan,
    "lock": lock,
    "retry": retry,
    "late": give_up,
    "after": after,
}


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
        elif verb in JOBS:
            JOBS[verb](value)
            self.answer(200, b"done\n")
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


class Server(ThreadingHTTPServer):
    request_queue_size = 128


if __name__ == "__main__":
    port = int(os.environ.get("PORT", "8000"))
    server = Server(("127.0.0.1", port), Handler)
    print(f"listening on {port}", flush=True)
    server.serve_forever()
