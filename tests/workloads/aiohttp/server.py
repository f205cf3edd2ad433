import asyncio
import os

import aiohttp
from aiohttp import web

UPSTREAM = os.environ.get("UPSTREAM", "http://127.0.0.1:1")
SESSION = web.AppKey("session", aiohttp.ClientSession)
LOCK = web.AppKey("lock", asyncio.Lock)

routes = web.RouteTableDef()


async def fetch(request, path, **options):
    async with request.app[SESSION].get(UPSTREAM + path, **options) as answer:
        await answer.read()
        return answer.status


@routes.get("/work/{id}")
async def work(request):
    await fetch(request, f"/leaf/{request.match_info['id']}/1")
    await asyncio.sleep(0.003)
    return web.Response(text="done\n")


@routes.get("/seq/{id}")
async def seq(request):
    await fetch(request, f"/leaf/{request.match_info['id']}/1")
    await asyncio.sleep(0.003)
    await fetch(request, f"/leaf/{request.match_info['id']}/2")
    return web.Response(text="done\n")


@routes.get("/fan/{id}")
async def fan(request):
    id = request.match_info["id"]
    await asyncio.gather(*(fetch(request, f"/leaf/{id}/{step}") for step in (1, 2, 3)))
    return web.Response(text="done\n")


@routes.get("/lock/{id}")
async def lock(request):
    async with request.app[LOCK]:
        await fetch(request, f"/leaf/{request.match_info['id']}/1")
    return web.Response(text="done\n")


@routes.get("/retry/{id}")
async def retry(request):
    path = f"/flaky/{request.match_info['id']}/1"
    if await fetch(request, path) == 503:
        await fetch(request, path)
    return web.Response(text="done\n")


@routes.get("/late/{id}")
async def late(request):
    try:
        timeout = aiohttp.ClientTimeout(total=0.05)
        await fetch(request, f"/slow/{request.match_info['id']}/1", timeout=timeout)
    except asyncio.TimeoutError:
        pass
    return web.Response(text="done\n")


background = set()


@routes.get("/after/{id}")
async def after(request):
    async def later():
        await asyncio.sleep(0.003)
        await fetch(request, f"/leaf/{request.match_info['id']}/1")

    task = asyncio.create_task(later())
    background.add(task)
    task.add_done_callback(background.discard)
    return web.Response(text="done\n")


async def client(app):
    app[LOCK] = asyncio.Lock()
    async with aiohttp.ClientSession() as session:
        app[SESSION] = session
        yield


async def ready(app):
    print("listening on", os.environ.get("PORT"), flush=True)


app = web.Application()
app.add_routes(routes)
app.cleanup_ctx.append(client)
app.on_startup.append(ready)

if __name__ == "__main__":
    web.run_app(app, host="127.0.0.1", port=int(os.environ.get("PORT", "8080")), print=None)
