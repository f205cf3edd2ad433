"""A client that sends what it is told, as real clients rarely do: `raw.py CALL...`.

Each CALL is sent by one call, with `\\r\\n` and the like replaced. `wait` reads what comes within
a moment, `quit` closes at once; else all is read until the server closes or is silent.
"""
import socket
import sys
import time

connection = socket.create_connection(("127.0.0.1", 28080))
for call in sys.argv[1:]:
    if call == "wait":
        connection.settimeout(0.2)
        try:
            connection.recv(65536)
        except TimeoutError:
            pass
    elif call == "quit":
        time.sleep(0.05)
        connection.close()
        sys.exit()
    else:
        connection.sendall(call.encode().decode("unicode_escape").encode("latin-1"))
        time.sleep(0.02)
connection.settimeout(0.5)
try:
    while connection.recv(65536):
        pass
except TimeoutError:
    pass
