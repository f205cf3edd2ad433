import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import requests
from flask import Flask, Response, request

UPSTREAM = os.environ.get("UPSTREAM")

app = Flask(__name__)
session = requests.Session()
pool = ThreadPoolExecutor(max_workers=12)
one_at_a_time = threading.Lock()


def fetch(path, timeout=30):
    return session.get(UPSTREAM + path, timeout=timeout).status_code


@app.get("/")
def hello():
    return Response("hello\n", mimetype="text/plain")


@app.get("/status/<int:code>")
def status(code):
    return Response(f"status {code}\n", status=code, mimetype="text/plain")


@app.get("/slow/<int:ms>")
def slow(ms):
    time.sleep(ms / 1000)
    return Response("late\n", mimetype="text/plain")


@app.get("/call", defaults={"path": ""})
@app.get("/call/<path:path>")
def call(path):
    try:
        answer = requests.get(f"{UPSTREAM}/{path}", params=request.args, timeout=30)
    except requests.RequestException as error:
        return Response(f"{error}\n", status=502, mimetype="text/plain")
    return Response("called\n", status=answer.status_code, mimetype="text/plain")


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
    list(pool.map(fetch, [f"/leaf/{id}/{step}" for step in (1, 2, 3)]))
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


def later(id):
    time.sleep(0.003)
    fetch(f"/leaf/{id}/1")


@app.get("/after/<id>")
def after(id):
    pool.submit(later, id)
    return "done\n"


@app.post("/echo")
def echo():
    return Response(request.get_data(), mimetype="text/plain")
