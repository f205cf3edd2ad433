import os

bind = "127.0.0.1:" + os.environ.get("PORT", "8000")


def when_ready(server):
    print(f"listening on {bind}", flush=True)
