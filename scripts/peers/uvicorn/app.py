"""uvicorn as a peer of ringserve: a bare ASGI application, without a framework."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson

HELLO = b"Hello, World!"
ORDERS = orjson.loads((Path(__file__).parent.parent / "orders.json").read_bytes())


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    path = scope["path"]
    if path == "/":
        await answer(send, 200, b"text/plain; charset=utf-8", HELLO)
    elif path == "/orders":
        await answer(send, 200, b"application/json", orjson.dumps(ORDERS))
    elif path == "/ping" and scope["method"] == "POST":
        await ping(receive, send)
    else:
        await answer(send, 404, b"text/plain; charset=utf-8", b"not found")


async def ping(receive: Any, send: Any) -> None:
    message = await receive()
    body = message.get("body", b"")
    while message.get("more_body"):
        message = await receive()
        body += message.get("body", b"")
    try:
        sequence = orjson.loads(body)["sequence"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        await answer(send, 400, b"text/plain; charset=utf-8", b"not a ping")
        return
    await answer(send, 200, b"application/json", orjson.dumps({"sequence": sequence}))


async def answer(send: Any, status: int, content_type: bytes, body: bytes) -> None:
    # Without the length the answer would be chunked.
    headers = [(b"content-type", content_type), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
