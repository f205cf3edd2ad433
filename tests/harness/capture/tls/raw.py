"""A server that reads once and closes, or says something first: raw.py PORT [TEXT]."""

import socket
import sys

listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
while True:
    connection, _ = listener.accept()
    connection.recv(65536)
    if len(sys.argv) > 2:
        connection.sendall(sys.argv[2].encode())
    connection.close()
