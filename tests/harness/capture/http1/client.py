"""Python's clients: `client.py form|session|plain`."""
import http.client
import sys

if sys.argv[1] == "form":
    import requests

    requests.post("http://127.0.0.1:28080/form?token=secret", data={"name": "alice"})
elif sys.argv[1] == "session":
    import requests

    with requests.Session() as session:
        for path in ("/a", "/error", "/c"):
            session.get("http://127.0.0.1:28080" + path)
else:
    connection = http.client.HTTPConnection("127.0.0.1", 28080)
    connection.request("POST", "/echo", body=iter([b"some", b" parts"]), encode_chunked=True,
                       headers={"Transfer-Encoding": "chunked"})
    connection.getresponse().read()
    connection.close()
