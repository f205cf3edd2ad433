"""An HTTP service and its client, whose connections end while bytes are still to be read.

`/reset`: the service answers and closes with bytes of the request unread, so the client's socket
is reset. `/half`: the client ends its own direction first. Either client reads the answer late."""

import socket
import threading
import time

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nanswer"


def serve(listener):
    while True:
        connection, _ = listener.accept()
        connection.recv(4096)
        time.sleep(0.1)
        connection.sendall(ANSWER)
        connection.close()


def ask(port, path, extra, half):
    with socket.create_connection(("127.0.0.1", port)) as client:
        head = f"POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: {len(extra)}\r\n\r\n"
        client.sendall(head.encode())
        if half:
            client.shutdown(socket.SHUT_WR)
        else:
            time.sleep(0.05)
            client.sendall(extra)
        time.sleep(0.3)
        assert client.recv(4096) == ANSWER, path


listener = socket.create_server(("127.0.0.1", 0))
port = listener.getsockname()[1]
threading.Thread(target=serve, args=(listener,), daemon=True).start()
print(f"listening on {port}", flush=True)
ask(port, "/reset", b"x" * 5, False)
ask(port, "/half", b"", True)
print("done", flush=True)
time.sleep(60)
