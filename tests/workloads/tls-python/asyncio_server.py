"""A shop by aiohttp, TLS both ways, on asyncio."""

import asyncio
import os
import signal
import ssl

from aiohttp import ClientSession, TCPConnector, web

certificates = os.environ["CERTIFICATES"]
port = int(os.environ["PORT"])


async def handle(request):
    verb, number = request.match_info["verb"], request.match_info["number"]
    if request.method == "POST":
        await request.read()
        return web.Response(status=201, text="made\n")
    if verb == "call":
        async with request.app["stock"].get(f"{os.environ['UPSTREAM']}/items/{number}") as answer:
            await answer.read()
    return web.Response(
        status={"items": 200, "call": 200, "missing": 404}.get(verb, 500), text="an item\n"
    )


async def main():
    app = web.Application()
    app.router.add_route("*", "/{verb}/{number}", handle)
    trust = ssl.create_default_context(cafile=certificates + "/ca.pem")
    app["stock"] = ClientSession(connector=TCPConnector(ssl=trust))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates + "/cert.pem", certificates + "/key.pem")
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port, ssl_context=context).start()
    print(f"listening on {port}", flush=True)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await stop.wait()


asyncio.run(main())
