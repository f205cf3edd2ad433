"""What workers do; the broker's socket is in BROKER."""

import os
import time

import requests
from celery import Celery, group

UPSTREAM = os.environ.get("UPSTREAM", "http://127.0.0.1:1")
BROKER = "redis+socket://" + os.environ.get("BROKER", "redis.sock")

app = Celery("jobs", broker=BROKER, backend=BROKER)
session = requests.Session()


@app.task
def fetch(path, timeout=30):
    try:
        return session.get(UPSTREAM + path, timeout=timeout).status_code
    except requests.Timeout:
        return 0


@app.task
def work(id):
    fetch(f"/leaf/{id}/1")
    time.sleep(0.003)


@app.task
def seq(id):
    fetch(f"/leaf/{id}/1")
    time.sleep(0.003)
    fetch(f"/leaf/{id}/2")


def fan(id):
    return group(fetch.s(f"/leaf/{id}/{step}") for step in (1, 2, 3))


@app.task
def retry(id):
    if fetch(f"/flaky/{id}/1") == 503:
        fetch(f"/flaky/{id}/1")


@app.task
def late(id):
    fetch(f"/slow/{id}/1", timeout=0.05)


@app.task
def after(id):
    time.sleep(0.003)
    fetch(f"/leaf/{id}/1")
