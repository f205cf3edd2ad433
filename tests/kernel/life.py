"""One connection from its beginning to its end, and one child that runs another program.

Waits for a line on stdin, then prints the inodes of both sockets and the child's process id.
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
ends = {"client": os.fstat(client.fileno()).st_ino, "server": os.fstat(server.fileno()).st_ino}
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
