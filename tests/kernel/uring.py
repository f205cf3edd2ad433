"""One connection whose bytes partly go by io_uring, spoken between two threads of this process.

Waits for a line on stdin for each story, then tells it and prints a JSON line: the inodes of both
sockets, both streams in hex, and the paths that were asked for by ordinary calls. Says
"unavailable" when the kernel or its settings refuse io_uring.
"""

import ctypes
import json
import mmap
import os
import socket
import struct
import sys
import threading
import time

LIBC = ctypes.CDLL(None, use_errno=True)
SETUP, ENTER = 425, 426
SEND, RECV = 26, 27
ASYNC = 1 << 4
GETEVENTS = 1


class Ring:
    """A ring of one entry at a time, by the bare system calls (`linux/io_uring.h`)."""

    def __init__(self):
        params = (ctypes.c_uint32 * 30)()
        self.fd = LIBC.syscall(SETUP, 4, params)
        if self.fd < 0:
            raise OSError(ctypes.get_errno(), "io_uring_setup")
        # Offsets of the queues lie behind ten words: head, tail, mask, entries, flags, dropped, array...
        self.sq, self.cq = list(params[10:20]), list(params[20:30])
        self.sring = mmap.mmap(self.fd, self.sq[6] + 4 * params[0], offset=0)
        self.cring = mmap.mmap(self.fd, self.cq[5] + 16 * params[1], offset=0x8000000)
        self.entries = mmap.mmap(self.fd, 64 * params[0], offset=0x10000000)

    def word(self, ring, at, value=None):
        if value is not None:
            struct.pack_into("I", ring, at, value)
        return struct.unpack_from("I", ring, at)[0]

    def submit(self, code, sock, buffer, flags=0):
        """Queues one send or receive and tells the kernel; does not wait for its end."""
        mask = self.word(self.sring, self.sq[2])
        tail = self.word(self.sring, self.sq[1])
        slot = tail & mask
        address = ctypes.addressof(buffer)
        entry = struct.pack("BBHiQQI", code, flags, 0, sock.fileno(), 0, address, len(buffer))
        self.entries[64 * slot : 64 * slot + 64] = entry.ljust(64, b"\0")
        self.word(self.sring, self.sq[6] + 4 * slot, slot)
        self.word(self.sring, self.sq[1], tail + 1)
        assert LIBC.syscall(ENTER, self.fd, 1, 0, 0, None, 0) == 1

    def done(self):
        return self.word(self.cring, self.cq[0]) != self.word(self.cring, self.cq[1])

    def wait(self):
        """The result of what was submitted."""
        while not self.done():
            LIBC.syscall(ENTER, self.fd, 0, 1, GETEVENTS, None, 0)
        head = self.word(self.cring, self.cq[0])
        slot = head & self.word(self.cring, self.cq[2])
        result = struct.unpack_from("Qi", self.cring, self.cq[5] + 16 * slot)[1]
        self.word(self.cring, self.cq[0], head + 1)
        assert result > 0, os.strerror(-result)
        return result


def tcp():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        return client, listener.accept()[0]


class Story:
    """Requests of a client to a server, and what both have moved."""

    def __init__(self):
        self.client, self.server = tcp()
        self.inodes = [os.fstat(end.fileno()).st_ino for end in (self.client, self.server)]
        self.asked, self.answered, self.paths = b"", b"", []
        self.rings = [Ring(), Ring()]

    def plain(self, data):
        self.asked += data
        self.client.sendall(data)
        take(self.server, len(data))

    def answer(self):
        data = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
        self.answered += data
        self.server.sendall(data)
        take(self.client, len(data))

    def get(self, path):
        self.plain(f"GET {path} HTTP/1.1\r\nHost: here\r\n\r\n".encode())
        self.answer()
        self.paths.append(path)

    def by_ring(self, data, flags):
        """Both ends by io_uring: at once, or by a worker of the kernel."""
        self.asked += data
        sent = ctypes.create_string_buffer(data, len(data))
        self.rings[0].submit(SEND, self.client, sent, flags)
        assert self.rings[0].wait() == len(data)
        left = len(data)
        while left:
            room = ctypes.create_string_buffer(left)
            self.rings[1].submit(RECV, self.server, room, flags)
            left -= self.rings[1].wait()

    def late(self, data):
        """The receive waits for bytes, and ends while its thread is inside of another call."""
        self.asked += data
        room = ctypes.create_string_buffer(len(data))
        reader, writer = os.pipe()
        decoy = b"GET /decoy HTTP/1.1\r\n\r\n".ljust(len(data), b".")
        os.write(writer, decoy)
        held = bytearray(len(decoy))
        assert os.readv(reader, [held]) == len(decoy)
        into = (ctypes.c_char * len(held)).from_buffer(held)

        def wake():
            # The receiving thread sits in read() by then, or its next call ends the receive.
            time.sleep(0.05)
            self.client.sendall(data)
            time.sleep(0.05)
            os.write(writer, b"!")

        self.rings[1].submit(RECV, self.server, room)
        waker = threading.Thread(target=wake)
        waker.start()
        # Where an ordinary receive would have its bytes.
        assert LIBC.read(reader, into, len(held)) == 1
        waker.join()
        assert self.rings[1].wait() == len(data)
        os.close(reader)
        os.close(writer)

    def post(self, path, move):
        head = f"POST {path} HTTP/1.1\r\nHost: here\r\nContent-Length: 300\r\n\r\n"
        self.plain(head.encode())
        move(b"body." * 60)
        self.answer()
        self.paths.append(path)

    def tell(self):
        ends = {"client": self.inodes[0], "server": self.inodes[1], "paths": self.paths}
        streams = {"asked": self.asked.hex(), "answered": self.answered.hex()}
        print(json.dumps({**ends, **streams}), flush=True)


def take(sock, left):
    while left:
        part = sock.recv(left)
        assert part, "the stream ended early"
        left -= len(part)


def main():
    print(f"ready {threading.get_native_id()}", flush=True)
    sys.stdin.readline()
    try:
        Ring()
    except OSError as error:
        print(f"unavailable: {error.strerror}", flush=True)
        sys.stdin.read()
        return
    for flags in (0, ASYNC):
        story = Story()
        story.get("/first")
        story.post("/body", lambda data: story.by_ring(data, flags))
        story.get("/next")
        # A request that nobody can see is lost; the one behind it is not.
        story.by_ring(b"GET /unseen HTTP/1.1\r\nHost: here\r\n\r\n", flags)
        story.answer()
        story.get("/last")
        story.tell()
    story = Story()
    story.get("/first")
    story.post("/late", story.late)
    story.get("/last")
    story.tell()
    print("done", flush=True)
    sys.stdin.read()


main()
