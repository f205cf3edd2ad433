"""Every way to send and to receive on a stream socket, one connection each.

Waits for a line on stdin, then prints a JSON line per connection: its way, its family, the inodes
of both sockets and the bytes that went over it.
"""

import ctypes
import json
import os
import select
import socket
import sys
import tempfile
import threading

LIBC = ctypes.CDLL(None, use_errno=True)


class Iovec(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("len", ctypes.c_size_t)]


class Msghdr(ctypes.Structure):
    _fields_ = [
        ("name", ctypes.c_void_p),
        ("namelen", ctypes.c_uint32),
        ("iov", ctypes.POINTER(Iovec)),
        ("iovlen", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("controllen", ctypes.c_size_t),
        ("flags", ctypes.c_int),
    ]


class Mmsghdr(ctypes.Structure):
    _fields_ = [("hdr", Msghdr), ("len", ctypes.c_uint32)]


def batch(buffers):
    """An array of mmsghdr over ctypes buffers; answers it with what must stay alive."""
    vectors = [(Iovec * 1)(Iovec(ctypes.addressof(b), ctypes.sizeof(b))) for b in buffers]
    messages = (Mmsghdr * len(buffers))()
    for message, vector in zip(messages, vectors):
        message.hdr.iov = vector
        message.hdr.iovlen = 1
    return messages, vectors


def thirds(data):
    cut = len(data) // 3
    return [data[:cut], data[cut : 2 * cut], data[2 * cut :]]


def send_batch(sock, data):
    buffers = [ctypes.create_string_buffer(part, len(part)) for part in thirds(data)]
    messages, _alive = batch(buffers)
    assert LIBC.sendmmsg(sock.fileno(), messages, len(buffers), 0) == len(buffers)


def send_file(sock, data):
    with tempfile.TemporaryFile() as file:
        file.write(data)
        file.flush()
        sent = 0
        while sent < len(data):
            sent += os.sendfile(sock.fileno(), file.fileno(), sent, len(data) - sent)


def send_splice(sock, data):
    reader, writer = os.pipe()
    os.write(writer, data)
    left = len(data)
    while left:
        left -= os.splice(reader, sock.fileno(), left)
    os.close(reader)
    os.close(writer)


def send_nonblocking(sock, data):
    """Short writes and EAGAIN against a full buffer."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    sock.setblocking(False)
    while data:
        try:
            data = data[sock.send(data) :]
        except BlockingIOError:
            select.select([], [sock], [])
    sock.setblocking(True)


SENDERS = {
    "send": lambda s, d: s.sendall(d),
    "write": lambda s, d: os.write(s.fileno(), d),
    "writev": lambda s, d: os.writev(s.fileno(), thirds(d)),
    "sendmsg": lambda s, d: s.sendmsg(thirds(d)),
    "sendmmsg": send_batch,
    "sendfile": send_file,
    "splice": send_splice,
    "parts": lambda s, d: [s.send(part) for part in thirds(d)],
    "nonblocking": send_nonblocking,
}


def until(total, step):
    data = b""
    while len(data) < total:
        part = step(total - len(data))
        assert part, "the stream ended early"
        data += part
    return data


def receive_readv(sock, left):
    parts = [bytearray(7), bytearray(left)]
    count = os.readv(sock.fileno(), parts)
    return b"".join(bytes(p) for p in parts)[:count]


def receive_msg(sock, left):
    parts = [bytearray(5), bytearray(left)]
    count = sock.recvmsg_into(parts)[0]
    return b"".join(bytes(p) for p in parts)[:count]


def receive_batch(sock, left):
    buffers = [ctypes.create_string_buffer(left) for _ in range(2)]
    messages, _alive = batch(buffers)
    # MSG_WAITFORONE: block for the first message only
    count = LIBC.recvmmsg(sock.fileno(), messages, 2, 0x10000, None)
    assert count > 0
    return b"".join(b.raw[: m.len] for b, m in zip(buffers, messages[:count]))


def receive_peek(sock, left):
    sock.recv(left, socket.MSG_PEEK)
    return sock.recv(left)


def receive_nonblocking(sock, left):
    sock.setblocking(False)
    while True:
        try:
            return sock.recv(left)
        except BlockingIOError:
            select.select([sock], [], [])


RECEIVERS = {
    "recv": lambda s, n: s.recv(n),
    "read": lambda s, n: os.read(s.fileno(), n),
    "readv": receive_readv,
    "recvmsg": receive_msg,
    "recvmmsg": receive_batch,
    "peek": receive_peek,
    "waitall": lambda s, n: s.recv(n, socket.MSG_WAITALL),
    "bytewise": lambda s, n: s.recv(1 if n > 10 else n),
    "nonblocking": receive_nonblocking,
}


def pair(family):
    if family == "unix":
        path = tempfile.mktemp(prefix="weft-test-")
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(path)
    else:
        listener = socket.socket(socket.AF_INET6 if family == "inet6" else socket.AF_INET)
        listener.bind(("::1" if family == "inet6" else "127.0.0.1", 0))
    listener.listen()
    client = socket.socket(listener.family)
    client.connect(listener.getsockname())
    server, _ = listener.accept()
    if family == "unix":
        os.unlink(path)
    listener.close()
    return client, server


def inode(sock):
    return os.fstat(sock.fileno()).st_ino


def run(family, sender, receiver, size, inherited=False):
    client, server = pair(family)
    data = f"{family} {sender} {receiver} ".encode()
    data = (data * (size // len(data) + 1))[:size]
    line = {
        "family": family,
        "way": f"{sender}-{receiver}",
        "sender": inode(client),
        "receiver": inode(server),
        "bytes": len(data),
        "head": data[:64].decode(),
    }
    got = []
    reader = threading.Thread(
        target=lambda: got.append(until(size, lambda left: RECEIVERS[receiver](server, left)))
    )
    reader.start()
    if inherited:
        child = os.fork()
        if child == 0:
            SENDERS[sender](client, data)
            os._exit(0)
        os.waitpid(child, 0)
    else:
        SENDERS[sender](client, data)
    reader.join()
    assert got[0] == data, f"{line['way']}: the bytes changed"
    client.close()
    server.close()
    print(json.dumps(line))


def main():
    print("ready", flush=True)
    sys.stdin.readline()
    for family in ("inet", "inet6", "unix"):
        for sender in SENDERS:
            run(family, sender, "recv", 3000)
        for receiver in RECEIVERS:
            run(family, "send", receiver, 300)
        run(family, "write", "read", 3000, inherited=True)
        run(family, "send", "recv", 300_000)
    print("done", flush=True)
    sys.stdin.readline()


main()
