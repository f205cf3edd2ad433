import os
import time

import gevent
import requests
from flask import Flask
from gevent.lock import BoundedSemaphore

UPSTREAM = os.environ.get("UPSTREAM")

app = Flask(__name__)
session = requests.Session()
session.mount("http://", requests.adapters.HTTPAdapter(pool_maxsize=32))
one_at_a_time = BoundedSemaphore()


def fetch(path, timeout=30):
    return session.get(UPSTREAM + path, timeout=timeout).status_code


@app.get("/work/<id>")
def work(id):
    fetch(f"/leaf/{id}/1")
    time.sleep(0.003)
    return "done\n"


@app.get("/seq/<id>")
def seq(id):
    fetch(f"/leaf/{id}/1")
    time.sleep(0.003)
    fetch(f"/leaf/{id}/2")
    return "done\n"


@app.get("/fan/<id>")
def fan(id):
    gevent.joinall([gevent.spawn(fetch, f"/leaf/{id}/{step}") for step in (1, 2, 3)])
    return "done\n"


@app.get("/lock/<id>")
def lock(id):
    with one_at_a_time:
        fetch(f"/leaf/{id}/1")
    return "done\n"


@app.get("/retry/<id>")
def retry(id):
    if fetch(f"/flaky/{id}/1") == 503:
        fetch(f"/flaky/{id}/1")
    return "done\n"


@app.get("/late/<id>")
def late(id):
    try:
        fetch(f"/slow/{id}/1", timeout=0.05)
    except requests.Timeout:
        pass
    return "done\n"


@app.get("/after/<id>")
def after(id):
    gevent.spawn_later(0.003, fetch, f"/leaf/{id}/1")
    return "done\n"
