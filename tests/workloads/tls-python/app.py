"""A shop by WSGI; it asks its stock by requests."""

import os

import requests

STATUS = {"items": "200 OK", "call": "200 OK", "missing": "404 Not Found"}


def app(environ, start_response):
    _, verb, number = environ["PATH_INFO"].split("/")[:3]
    status = STATUS.get(verb, "500 Internal Server Error")
    if environ["REQUEST_METHOD"] == "POST":
        environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        status = "201 Created"
    if verb == "call":
        ca = os.environ["CERTIFICATES"] + "/ca.pem"
        requests.get(f"{os.environ['UPSTREAM']}/items/{number}", verify=ca).raise_for_status()
    body = b"an item\n"
    start_response(status, [("Content-Length", str(len(body)))])
    return [body]
