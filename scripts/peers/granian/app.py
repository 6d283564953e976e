"""Granian as a peer of ringserve: an application for RSGI, its own interface, without a framework."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson

HELLO = "Hello, World!"
ORDERS = orjson.loads((Path(__file__).parent.parent / "orders.json").read_bytes())

TEXT = [("content-type", "text/plain; charset=utf-8")]
JSON = [("content-type", "application/json")]


async def app(scope: Any, protocol: Any) -> None:
    path = scope.path
    if path == "/":
        protocol.response_str(200, TEXT, HELLO)
    elif path == "/orders":
        protocol.response_bytes(200, JSON, orjson.dumps(ORDERS))
    elif path == "/ping" and scope.method == "POST":
        await ping(protocol)
    else:
        protocol.response_str(404, TEXT, "not found")


async def ping(protocol: Any) -> None:
    try:
        sequence = orjson.loads(await protocol())["sequence"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        protocol.response_str(400, TEXT, "not a ping")
        return
    protocol.response_bytes(200, JSON, orjson.dumps({"sequence": sequence}))
