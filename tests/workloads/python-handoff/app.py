"""Coroutines that hand blocking calls to threads."""

import asyncio
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

import requests
from fastapi import BackgroundTasks, FastAPI

UPSTREAM = os.environ.get("UPSTREAM", "http://127.0.0.1:1")
STYLE = os.environ.get("STYLE", "to_thread")

pool = ThreadPoolExecutor(max_workers=16)
kept = threading.local()
one_at_a_time = threading.Lock()


@asynccontextmanager
async def lifespan(app):
    print("listening on", os.environ.get("PORT"), flush=True)
    yield


app = FastAPI(lifespan=lifespan)


def get(path, timeout=30):
    if not hasattr(kept, "session"):
        kept.session = requests.Session()
    return kept.session.get(UPSTREAM + path, timeout=timeout).status_code


async def fetch(path, timeout=30):
    if STYLE == "executor":
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(pool, get, path, timeout)
    return await asyncio.to_thread(get, path, timeout)


@app.get("/work/{id}")
async def work(id: str):
    await fetch(f"/leaf/{id}/1")
    await asyncio.sleep(0.003)


@app.get("/seq/{id}")
async def seq(id: str):
    await fetch(f"/leaf/{id}/1")
    await asyncio.sleep(0.003)
    await fetch(f"/leaf/{id}/2")


@app.get("/fan/{id}")
async def fan(id: str):
    await asyncio.gather(*(fetch(f"/leaf/{id}/{step}") for step in (1, 2, 3)))


# FastAPI itself runs handlers that are no coroutines in threads


@app.get("/lock/{id}")
def lock(id: str):
    with one_at_a_time:
        get(f"/leaf/{id}/1")


@app.get("/retry/{id}")
def retry(id: str):
    if get(f"/flaky/{id}/1") == 503:
        time.sleep(0.001)
        get(f"/flaky/{id}/1")


@app.get("/late/{id}")
async def late(id: str):
    try:
        await fetch(f"/slow/{id}/1", 0.05)
    except requests.Timeout:
        pass


def later(id):
    time.sleep(0.003)
    get(f"/leaf/{id}/1")


@app.get("/after/{id}")
async def after(id: str, background: BackgroundTasks):
    background.add_task(later, id)
