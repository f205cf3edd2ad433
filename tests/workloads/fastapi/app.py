import asyncio
import os
from contextlib import asynccontextmanager

import httpx
from fastapi import BackgroundTasks, FastAPI

UPSTREAM = os.environ.get("UPSTREAM", "http://127.0.0.1:1")


@asynccontextmanager
async def lifespan(app):
    app.lock = asyncio.Lock()
    async with httpx.AsyncClient(base_url=UPSTREAM, timeout=30) as client:
        app.client = client
        print("listening on", os.environ.get("PORT"), flush=True)
        yield


app = FastAPI(lifespan=lifespan)


async def fetch(path, **options):
    return (await app.client.get(path, **options)).status_code


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
    async with asyncio.TaskGroup() as tasks:
        for step in (1, 2, 3):
            tasks.create_task(fetch(f"/leaf/{id}/{step}"))


@app.get("/lock/{id}")
async def lock(id: str):
    async with app.lock:
        await fetch(f"/leaf/{id}/1")


@app.get("/retry/{id}")
async def retry(id: str):
    if await fetch(f"/flaky/{id}/1") == 503:
        await fetch(f"/flaky/{id}/1")


@app.get("/late/{id}")
async def late(id: str):
    try:
        await fetch(f"/slow/{id}/1", timeout=0.05)
    except httpx.TimeoutException:
        pass


async def later(id):
    await asyncio.sleep(0.003)
    await fetch(f"/leaf/{id}/1")


@app.get("/after/{id}")
async def after(id: str, background: BackgroundTasks):
    background.add_task(later, id)
