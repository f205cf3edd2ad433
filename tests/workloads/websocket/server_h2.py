"""The same chat by ASGI; hypercorn speaks WebSocket over HTTP/2, too."""

import asyncio
import os

from hypercorn.asyncio import serve
from hypercorn.config import Config

CODES = {"fail": 1011, "leave": 1001}


async def chat(scope, receive, send):
    if scope["type"] != "websocket":
        return
    kind = scope["path"].split("/")[1]
    await receive()
    await send({"type": "websocket.accept"})
    while True:
        event = await receive()
        if event["type"] == "websocket.disconnect":
            return
        if kind in CODES:
            await send({"type": "websocket.close", "code": CODES[kind]})
            return
        text = event["text"]
        if kind == "many":
            for number in range(int(text)):
                await send({"type": "websocket.send", "text": f"message {number}"})
        else:
            await send({"type": "websocket.send", "text": text})


async def main():
    config = Config()
    config.bind = [f"127.0.0.1:{os.environ['PORT']}"]
    config.accesslog = None
    await serve(chat, config)


print(f"listening on 127.0.0.1:{os.environ['PORT']}", flush=True)
asyncio.run(main())
