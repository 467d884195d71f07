"""The yardstick: the smallest Flask answer, served by stock gunicorn."""

from __future__ import annotations

from flask import Flask, Response, jsonify

app = Flask(__name__)


@app.get("/")
def hello() -> Response:
    """Answer as every Flask tutorial does."""
    return jsonify(message="hello")
