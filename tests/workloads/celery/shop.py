from flask import Flask

import jobs

app = Flask(__name__)


@app.get("/<verb>/<id>")
def job(verb, id):
    if verb == "fan":
        jobs.fan(id).apply_async().get(timeout=30)
    elif verb == "after":
        jobs.after.delay(id)
    elif verb in ("work", "seq", "retry", "late"):
        getattr(jobs, verb).delay(id).get(timeout=30)
    else:
        return "no such path\n", 404
    return "done\n"
