"""Flask as a peer of ringserve."""

from __future__ import annotations

import json
from pathlib import Path

from flask import Flask, Response, abort, jsonify, request

HELLO = "Hello, World!"
ORDERS = json.loads((Path(__file__).parent.parent / "orders.json").read_bytes())

app = Flask(__name__, static_folder=None)
# As rows come, which is their order in the file, too.
app.json.sort_keys = False


@app.get("/")
def hello() -> Response:
    return Response(HELLO, mimetype="text/plain")


@app.get("/orders")
def orders() -> Response:
    return jsonify(ORDERS)


@app.post("/ping")
def ping() -> Response:
    body = request.get_json()
    if not isinstance(body, dict) or "sequence" not in body:
        abort(400)
    return jsonify(sequence=body["sequence"])
