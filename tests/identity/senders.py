"""How a twist is sent: to an app in this process, or over a socket, byte by byte."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.identity.twist import Sent, Wanted
from tests.integration.raw_http import Phone

if TYPE_CHECKING:
    from flask import Flask


def send_to_app(app: Flask, sent: Sent) -> Wanted:
    """Return the answer of the app; fields reach it joined, as the server does it."""
    path, _, query = sent.path.partition("?")
    environ = {"PATH_INFO": path, "QUERY_STRING": query}
    if sent.fields:
        joined = ",".join(field.strip() for field in sent.fields)
        environ["HTTP_AUTHORIZATION"] = joined.encode().decode("latin-1")
    answer = app.test_client().open(
        method="GET" if sent.body is None else "POST",
        data=sent.body,
        content_type=None if sent.body is None else "application/json",
        environ_overrides=environ,
    )
    return Wanted(answer.status_code, answer.get_json().get("reason", ""))


def send_over_wire(port: int, sent: Sent) -> Wanted:
    """Return the answer of a listener on this machine."""
    body = sent.body or ""
    lines = [
        f"{'GET' if sent.body is None else 'POST'} {sent.path} HTTP/1.1",
        "Host: 127.0.0.1",
        "Connection: close",
        *(f"Authorization: {field}" for field in sent.fields),
        *(["Content-Type: application/json"] if body else []),
        f"Content-Length: {len(body.encode())}",
    ]
    text = "\r\n".join(lines) + "\r\n\r\n" + body
    phone = Phone(port)
    try:
        answer = phone.send(text.encode()).answer()
    finally:
        phone.socket.close()
    return Wanted(answer.status, answer.echo.get("reason", ""))
