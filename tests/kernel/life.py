"""One connection from its beginning to its end, one that its client ends by half first, and one
child that runs another program.

Waits for a line on stdin, then prints the inodes of the sockets and the child's process id.
"""

import json
import os
import socket
import subprocess
import sys

print("ready", flush=True)
sys.stdin.readline()
with socket.create_server(("127.0.0.1", 0)) as listener:
    client = socket.create_connection(listener.getsockname())
    server = listener.accept()[0]
    half = socket.create_connection(listener.getsockname())
    other = listener.accept()[0]
inode = lambda end: os.fstat(end.fileno()).st_ino
ends = {"client": inode(client), "server": inode(server), "half": inode(half)}
half.sendall(b"a question")
half.shutdown(socket.SHUT_WR)
assert other.recv(100) == b"a question" and other.recv(100) == b""
other.sendall(b"an answer")
other.close()
assert half.recv(100) == b"an answer" and half.recv(100) == b""
half.close()
client.sendall(b"a question")
assert server.recv(100) == b"a question"
server.sendall(b"an answer")
assert client.recv(100) == b"an answer"
client.close()
assert server.recv(100) == b""
server.close()
child = subprocess.Popen(["/bin/sh", "-c", ":"])
child.wait()
print(json.dumps({**ends, "child": child.pid}), flush=True)
print("done", flush=True)
sys.stdin.read()
