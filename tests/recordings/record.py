#!/usr/bin/env python3
"""Makes the recordings: `record.py WEFT STORY...` or `record.py WEFT all`, as root.

Most stories start unmodified services of tests/workloads (installed by `cargo xtask setup`) and
talk to them, themselves watched as their client, under `weft record`. Those of `ROWS`, one for each
evidence and runtime that it is found in, are runs of rows of `cargo xtask truth`, with so many requests
open at once; ids in their paths tell what is right. What is particular to the machine is replaced
before a log is kept: names and ids of the host and the user, and paths.

`record.py neutral LOG...` does that with other logs.
"""

import contextlib
import http.client
import json
import os
import pathlib
import select
import signal
import socket
import socketserver
import struct
import subprocess
import sys
import tempfile
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
WORKLOADS = ROOT / "target/xtask/workloads"
# Requests open at once where that is the story, and how many there are of the bench.
CONNECTIONS, REQUESTS = 64, 72
# What a service may take to be ready.
PATIENCE = 60


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def service(folder, upstream=None):
    """A service, ready; answers its port."""
    port = free_port()
    env = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "PORT": str(port)}
    if upstream:
        env["UPSTREAM"] = f"http://127.0.0.1:{upstream}"
    child = subprocess.Popen(
        ["./run"],
        cwd=WORKLOADS / folder,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        end = time.monotonic() + PATIENCE
        seen = b""
        while b"listening on" not in seen:
            ready, _, _ = select.select([child.stdout], [], [], max(0, end - time.monotonic()))
            more = os.read(child.stdout.fileno(), 4096) if ready else b""
            if not more:
                raise SystemExit(f"{folder} is not ready: {seen!r}")
            seen += more
        yield port
    finally:
        os.killpg(child.pid, signal.SIGTERM)
        child.wait()


def get(port, path, connection=None, headers=None, method="GET", body=None):
    own = connection or http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    own.request(method, path, body=body, headers=headers or {})
    answer = own.getresponse()
    answer.read()
    if not connection:
        own.close()
    return answer.status


def at_once(count, work):
    """`work(n)` on a thread each, all starting together."""
    barrier = threading.Barrier(count)

    def one(number):
        barrier.wait()
        work(number)

    threads = [threading.Thread(target=one, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def maze_serial():
    with service("maze/data-processor") as data, service("maze/frontend-api", data) as front:
        for number in range(8):
            get(front, f"/process/u{number}")
        get(front, "/process/error8")


def maze_concurrent():
    with service("maze/data-processor") as data, service("maze/frontend-api", data) as front:
        for turn in range(3):
            at_once(8, lambda number: get(front, f"/process/u{turn * 8 + number}"))


def flask_concurrent():
    with service("python-http") as data, service("flask-threads", data) as front:
        for turn in range(6):
            at_once(4, lambda number: get(front, f"/call/u{turn * 4 + number}"))


def nginx_proxy():
    with service("python-http") as data, service("nginx-proxy", data) as proxy:
        connection = http.client.HTTPConnection("127.0.0.1", proxy, timeout=30)
        for number in range(4):
            get(proxy, f"/status/20{number}", connection)
        connection.close()
        trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
        get(proxy, "/status/204", headers={"traceparent": trace, "tracestate": "a=b"})
        get(proxy, "/status/503")


class Hello(socketserver.StreamRequestHandler):
    """One answer on a UNIX socket."""

    def handle(self):
        while self.rfile.readline().strip():
            pass
        self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\nhello\n")


def unix_socket():
    with tempfile.TemporaryDirectory(dir="/run") as folder:
        path = f"{folder}/hello.sock"
        server = socketserver.UnixStreamServer(path, Hello)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        for number in range(3):
            url = f"http://localhost/u{number}"
            subprocess.run(["curl", "-s", "-o", "/dev/null", "--unix-socket", path, url], check=True)
        server.shutdown()


def read_answers(client, count):
    """Reads so many answers whose bodies hold no line that starts like an answer."""
    seen = b""
    while seen.count(b"HTTP/1.1 ") < count or not seen.endswith(b"\n0\r\n\r\n"):
        seen += client.recv(4096)


def pipelining():
    with service("node-http") as port:
        with socket.create_connection(("127.0.0.1", port)) as client:
            head = "GET /status/20{} HTTP/1.1\r\nHost: a\r\n\r\n"
            client.sendall("".join(head.format(number) for number in range(4)).encode())
            read_answers(client, 4)
            wire = "".join(head.format(number) for number in range(4, 7)).encode()
            for start in range(0, len(wire), 29):
                client.sendall(wire[start : start + 29])
                time.sleep(0.02)
            read_answers(client, 3)


def large_bodies():
    with service("flask-threads") as flask, service("nginx-static") as static:
        get(flask, "/echo", method="POST", body=b"x" * (1 << 20))
        connection = http.client.HTTPConnection("127.0.0.1", static, timeout=30)
        for _ in range(2):
            get(static, "/large.bin", connection)
        get(static, "/", connection)
        connection.close()


def closed_early():
    with service("python-http") as port:
        get(port, "/status/200")
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.sendall(b"GET /slow/600 HTTP/1.1\r\nHost: a\r\n\r\n")
            time.sleep(0.2)
        time.sleep(0.8)
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.sendall(b"GET /status/200 HTTP/1.1\r\nHo")
            time.sleep(0.1)
        get(port, "/status/200")


def header_concurrent():
    """Requests that carry a trace each, through a proxy that passes it on; their paths say which."""
    with service("python-http") as data, service("nginx-proxy", data) as proxy:

        def ask(number):
            trace = f"00-{number + 1:032x}-{number + 1:016x}-01"
            get(proxy, f"/slow/{20 + number}", headers={"traceparent": trace})

        at_once(CONNECTIONS, ask)


def attach_midway():
    """The agent comes while a connection is in use; `main` starts it on a line from here."""
    with service("python-http") as port:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        get(port, "/status/201", connection)
        connection.request("GET", "/slow/4000")
        print("attach", flush=True)
        connection.getresponse().read()
        for number in range(3):
            get(port, f"/status/20{number}", connection)
        connection.close()


STORIES = {
    "maze-serial": maze_serial,
    "maze-concurrent": maze_concurrent,
    "flask-concurrent": flask_concurrent,
    "nginx-proxy": nginx_proxy,
    "unix-socket": unix_socket,
    "pipelining": pipelining,
    "large-bodies": large_bodies,
    "closed-early": closed_early,
    "header-concurrent": header_concurrent,
    "attach-midway": attach_midway,
}

# Recorded by `cargo xtask truth`: story, row.
ROWS = {
    "aiohttp-concurrent": "aiohttp",
    "uvloop-concurrent": "fastapi-uvloop",
    "gevent-concurrent": "gevent",
    "executor-concurrent": "python-executor",
    "pool-concurrent": "python-http",
    "go-concurrent": "go-errgroup",
    "streams-concurrent": "go-h2c",
    "statements-concurrent": "go-sql-sqlite",
    "express-concurrent": "node-express",
    "axum-concurrent": "axum",
    "blocking-concurrent": "axum-ureq",
    "taken-concurrent": "axum-h2c",
    "nginx-concurrent": "nginx-proxy",
    "haproxy-concurrent": "haproxy",
    "threads-concurrent": "c-threads",
    "php-concurrent": "php-fpm",
    "ruby-concurrent": "puma",
    "java-concurrent": "java-http",
    "virtual-concurrent": "java-virtual-blocking",
}

# Kinds of frames, and of records those of the life of processes, which every process has.
RECORD, SERVICE, UNWATCHED = 1, 2, 5
SPAWNED, EXECUTED, EXITED, LEFT = 4, 5, 6, 13
LIFE = {SPAWNED, EXECUTED, EXITED, LEFT}
# Offsets in an `Executed` record: header, comm, command, its length.
COMMAND, COMMAND_LEN = 24 + 16, 24 + 16 + 256
NEUTRAL = {
    "host.name": "host",
    "host.id": "00000000000000000000000000000000",
    "process.owner": "user",
}


# Paths of this machine, the longer ones first.
MACHINE = (str(WORKLOADS.parent), str(ROOT), "/root/.pyenv", "/root")


def plain(text):
    """Without paths of this machine."""
    for machine in MACHINE:
        text = text.replace(machine, "/srv")
    return text


def plain_bytes(record):
    """The same where lengths are told elsewhere: there may be any number of slashes."""
    for machine in MACHINE:
        record = record.replace(machine.encode(), b"/srv".ljust(len(machine), b"/"))
    return record


def neutral_service(frame):
    tgid, service = frame[:4], json.loads(frame[4:])
    for attribute in service["resource"]:
        key, value = attribute
        if isinstance(value, str):
            attribute[1] = NEUTRAL.get(key, plain(value))
    return tgid + json.dumps(service, separators=(",", ":")).encode()


def neutral_executed(record):
    record = bytearray(record)
    (length,) = struct.unpack_from("<I", record, COMMAND_LEN)
    command = record[COMMAND : COMMAND + length].decode("utf-8", "replace")
    command = plain(command).encode()[:256]
    record[COMMAND : COMMAND + 256] = command.ljust(256, b"\0")
    struct.pack_into("<I", record, COMMAND_LEN, len(command))
    return bytes(record)


def frames(log):
    """Each frame: its kind, its process (0 is none), what it tells if it is a record, and itself."""
    at = 12
    while at + 5 <= len(log):
        kind, length = struct.unpack_from("<BI", log, at)
        frame = log[at + 5 : at + 5 + length]
        at += 5 + length
        tgid, what = 0, None
        if kind == RECORD:
            _, tgid, _, what, _ = struct.unpack_from("<QIIII", frame)
        elif kind in (SERVICE, UNWATCHED):
            (tgid,) = struct.unpack_from("<I", frame)
        yield kind, tgid, what, frame


def actors(log):
    """The processes that do more than live: others of the machine are none of anybody's business."""
    return {
        tgid
        for kind, tgid, what, _ in frames(log)
        if kind == SERVICE or (kind == RECORD and what not in LIFE)
    }


def services(log):
    """The processes that were to be watched: others are until that is known."""
    return {tgid for kind, tgid, _, _ in frames(log) if kind == SERVICE}


def neutral(log, only):
    """The log without what is particular to the machine, and of the processes `only`, if any.
    What has no process (0) is kept."""
    out = bytearray(log[:12])
    only = only or actors(log)
    for kind, tgid, what, frame in frames(log):
        if tgid and tgid not in only:
            continue
        if what == EXECUTED:
            frame = neutral_executed(frame)
        elif kind == RECORD:
            frame = plain_bytes(frame)
        elif kind == SERVICE:
            frame = neutral_service(frame)
        out += struct.pack("<BI", kind, len(frame)) + frame
    return bytes(out)


def family(pid):
    """A process and all it started, as it is now."""
    with open(f"/proc/{pid}/task/{pid}/children") as children:
        return [pid] + [one for child in children.read().split() for one in family(int(child))]


def record(weft, story, raw):
    env = {**os.environ, "WEFT_EXPORT__TERMINAL__ENABLED": "on"}
    tell = [sys.executable, __file__, "tell", story]
    if story != "attach-midway":
        subprocess.run([weft, "record", raw, "--", *tell], env=env, check=True)
        return []
    child = subprocess.Popen(tell, stdout=subprocess.PIPE)
    child.stdout.readline()
    only = family(child.pid)
    rules = ", ".join(f"{{ pid = {pid} }}" for pid in only)
    with tempfile.NamedTemporaryFile("w", suffix=".toml") as settings:
        settings.write(f"[select]\ninclude = [{rules}]\n")
        settings.flush()
        env["WEFT_CONFIG"] = settings.name
        subprocess.run([weft, "record", raw, "--for", "6s"], env=env, check=True)
    child.wait()
    return only


def record_rows(weft, stories):
    """Logs of the rows of these stories."""
    if not stories:
        return
    rows = ",".join(ROWS[story] for story in stories)
    with tempfile.TemporaryDirectory() as folder:
        command = ["cargo", "xtask", "truth", "--binary", weft, "--record", folder, "--only", rows]
        command += ["--concurrency", str(CONNECTIONS), "--requests", str(REQUESTS)]
        # Some row may need what is not installed: the others are kept.
        done = subprocess.run(command, cwd=ROOT)
        for story in stories:
            raw = pathlib.Path(folder) / f"{ROWS[story]}-{CONNECTIONS}.log"
            if raw.exists():
                log = raw.read_bytes()
                keep(story, neutral(log, services(log)))
        if done.returncode:
            raise SystemExit(f"not every row of {rows} was recorded")


def keep(story, log):
    (HERE / f"{story}.log").write_bytes(log)
    print(f"{story}: {len(log)} bytes")


def main():
    if sys.argv[1] == "tell":
        return STORIES[sys.argv[2]]()
    if sys.argv[1] == "neutral":
        for log in map(pathlib.Path, sys.argv[2:]):
            log.write_bytes(neutral(log.read_bytes(), []))
        return None
    weft, stories = sys.argv[1], sys.argv[2:]
    if stories == ["all"]:
        stories = [*STORIES, *ROWS]
    for story in stories:
        if story in ROWS:
            continue
        with tempfile.NamedTemporaryFile() as raw:
            only = record(weft, story, raw.name)
            keep(story, neutral(pathlib.Path(raw.name).read_bytes(), only))
    record_rows(os.path.abspath(weft), [story for story in stories if story in ROWS])
    return None


if __name__ == "__main__":
    main()
