"""Two TLS connections without certificates: one whose library reads and writes the socket, one
whose program does.

Waits for a line on stdin, then prints the inodes of the clients' and the servers' sockets.
"""

import json
import os
import socket
import ssl
import sys
import threading

QUESTION, ANSWER = b"a question", b"an answer" * 1000


def context(protocol):
    made = ssl.SSLContext(protocol)
    if protocol == ssl.PROTOCOL_TLS_CLIENT:
        made.check_hostname = False
    made.verify_mode = ssl.CERT_NONE
    made.maximum_version = ssl.TLSVersion.TLSv1_2
    made.set_ciphers("AECDH-AES128-SHA:@SECLEVEL=0")
    return made


def serve(end):
    with context(ssl.PROTOCOL_TLS_SERVER).wrap_socket(end, server_side=True) as secure:
        assert secure.recv(100) == QUESTION
        secure.sendall(ANSWER)
        try:
            assert secure.recv(100) == b""
        except ssl.SSLEOFError:
            pass


def by_library(end):
    with context(ssl.PROTOCOL_TLS_CLIENT).wrap_socket(end) as secure:
        secure.sendall(QUESTION)
        left = len(ANSWER)
        while left:
            left -= len(secure.recv(left))


def by_program(end):
    received, sent = ssl.MemoryBIO(), ssl.MemoryBIO()
    secure = context(ssl.PROTOCOL_TLS_CLIENT).wrap_bio(received, sent)

    def until_done(call, *arguments):
        while True:
            try:
                return call(*arguments)
            except ssl.SSLWantReadError:
                end.sendall(sent.read())
                received.write(end.recv(1 << 16))

    until_done(secure.do_handshake)
    secure.write(QUESTION)
    end.sendall(sent.read())
    left = len(ANSWER)
    while left:
        left -= len(until_done(secure.read, left))
    end.close()


print("ready", flush=True)
sys.stdin.readline()
inode = lambda end: os.fstat(end.fileno()).st_ino
with socket.create_server(("127.0.0.1", 0)) as listener:
    for ask in (by_library, by_program):
        client = socket.create_connection(listener.getsockname())
        server = listener.accept()[0]
        ends = {"way": ask.__name__, "client": inode(client), "server": inode(server)}
        thread = threading.Thread(target=serve, args=(server,))
        thread.start()
        ask(client)
        thread.join()
        print(json.dumps(ends), flush=True)
print("done", flush=True)
sys.stdin.read()
