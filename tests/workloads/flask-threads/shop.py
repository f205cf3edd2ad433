import os
import time

import requests
from flask import Flask, Response, request

UPSTREAM = os.environ.get("UPSTREAM")

app = Flask(__name__)


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


@app.post("/echo")
def echo():
    return Response(request.get_data(), mimetype="text/plain")
