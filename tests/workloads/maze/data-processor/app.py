import os

from flask import Flask, jsonify

app = Flask("data-processor")


@app.get("/data/<name>")
def data(name):
    if "error" in name:
        return jsonify(error=f"cannot process {name}"), 500
    return jsonify(name=name, length=len(name))


if __name__ == "__main__":
    app.run(host="127.0.0.1", port=int(os.environ.get("PORT", "3001")))
