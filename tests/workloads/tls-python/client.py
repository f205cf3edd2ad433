"""client.py URL COUNT CONCURRENCY MARK: by http.client, requests, pycurl, aiohttp or httpx (CLIENT).

libcurl speaks the version of HTTP that is in HTTP."""

import asyncio
import http.client
import os
import ssl
import sys
import threading
import time
import warnings

VERBS = ["items", "items", "missing", "broken", "call" if os.environ.get("CALLS") else "items"]
CA = os.environ["CERTIFICATES"] + "/ca.pem"


def asked(mark, number):
    # h2 takes it for an error that a server answers before it has the whole body
    posts = os.environ["CLIENT"] != "httpx"
    method = "POST" if number % 5 == 1 and posts else "GET"
    return method, f"/{VERBS[number % 5]}/{mark}n{number}"


def wait():
    print("ready", flush=True)
    while not os.path.exists(os.environ["GO"]):
        time.sleep(0.02)


def each_thread(mark, count, many, opened):
    """Every thread has a connection of its own and takes the next number."""
    numbers = iter(range(count))
    lock = threading.Lock()

    failures = []

    def work():
        try:
            take(opened())
        except Exception as error:
            failures.append(error)

    def take(send):
        while True:
            with lock:
                number = next(numbers, None)
            if number is None:
                return
            send(*asked(mark, number))

    threads = [threading.Thread(target=work) for _ in range(many)]
    wait()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


def by_http_client(url, mark, count, many):
    scheme, host = url.split("://")
    trust = ssl.create_default_context(cafile=CA)

    def opened():
        if scheme == "https":
            connection = http.client.HTTPSConnection(host, context=trust)
        else:
            connection = http.client.HTTPConnection(host)

        def send(method, path):
            connection.request(method, path, body="name=new" if method == "POST" else None)
            connection.getresponse().read()

        return send

    each_thread(mark, count, many, opened)


def by_requests(url, mark, count, many):
    import requests

    def opened():
        session = requests.Session()
        return lambda method, path: session.request(
            method, url + path, data="name=new" if method == "POST" else None, verify=CA
        )

    each_thread(mark, count, many, opened)


def by_pycurl(url, mark, count, many):
    import pycurl

    version = {
        "1": pycurl.CURL_HTTP_VERSION_1_1,
        "2": pycurl.CURL_HTTP_VERSION_2,
    }[os.environ["HTTP"]]

    def opened():
        connection = pycurl.Curl()
        connection.setopt(pycurl.CAINFO, CA)
        connection.setopt(pycurl.HTTP_VERSION, version)
        connection.setopt(pycurl.WRITEFUNCTION, lambda _: None)

        def send(method, path):
            connection.setopt(pycurl.URL, url + path)
            if method == "POST":
                connection.setopt(pycurl.POSTFIELDS, "name=new")
            else:
                connection.setopt(pycurl.HTTPGET, 1)
            connection.perform()

        return send

    each_thread(mark, count, many, opened)


async def each_task(mark, count, many, send):
    numbers = iter(range(count))

    async def work():
        for number in numbers:
            await send(*asked(mark, number))

    await asyncio.gather(*(work() for _ in range(many)))


async def by_aiohttp(url, mark, count, many):
    import aiohttp

    trust = ssl.create_default_context(cafile=CA)
    wait()
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trust)) as session:

        async def send(method, path):
            data = "name=new" if method == "POST" else None
            async with session.request(method, url + path, data=data) as answer:
                await answer.read()

        await each_task(mark, count, many, send)


async def by_httpx(url, mark, count, many):
    import httpx

    trust = ssl.create_default_context(cafile=CA)
    wait()
    async with httpx.AsyncClient(http1=False, http2=True, verify=trust, timeout=60) as session:

        async def send(method, path):
            content = "name=new" if method == "POST" else None
            await session.request(method, url + path, content=content)

        await each_task(mark, count, many, send)


warnings.simplefilter("ignore")
target, total, concurrency, ids = sys.argv[1:]
client = {
    "http.client": by_http_client,
    "requests": by_requests,
    "pycurl": by_pycurl,
    "aiohttp": by_aiohttp,
    "httpx": by_httpx,
}[os.environ["CLIENT"]]
done = client(target, ids, int(total), int(concurrency))
if done is not None:
    asyncio.run(done)
print("sent", flush=True)
