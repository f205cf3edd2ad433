import os

bind = f"127.0.0.1:{os.environ['PORT']}"
certfile = os.environ["CERTIFICATES"] + "/cert.pem"
keyfile = os.environ["CERTIFICATES"] + "/key.pem"
worker_class = "gthread"
threads = 8
keepalive = 30


def post_worker_init(worker):
    print(f"listening on {bind}", flush=True)
