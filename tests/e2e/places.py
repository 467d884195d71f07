"""Where a secret could come to light in a running house, and in which disguises."""

from __future__ import annotations

import base64
import json
import urllib.parse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.e2e.test_flower import flower

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.servers.house import House


SESSION_KEY_BYTES = 16


def disguises(secret: str) -> set[bytes]:
    """Return the forms in which ``secret`` might be written."""
    raw = secret.encode()
    forms = {raw, raw[::-1], raw.hex().encode(), urllib.parse.quote(secret).encode()}
    # Base64 of a longer text shows one of three alignments of the secret.
    for shift in range(3):
        coded = base64.b64encode(b"\0" * shift + raw)
        forms |= {coded[4:-4], base64.urlsafe_b64encode(b"\0" * shift + raw)[4:-4]}
    forms |= decoded(secret)
    if secret.count(".") == 2:
        forms.add(secret.rpartition(".")[2].encode())
    return {form for form in forms if len(form) >= 6}


def decoded(secret: str) -> set[bytes]:
    """Return the bytes of a session_key, plain and as hex; nothing for other texts."""
    try:
        raw = base64.b64decode(secret, validate=True)
    except ValueError:
        return set()
    return {raw, raw.hex().encode()} if len(raw) == SESSION_KEY_BYTES else set()


def places(house: House) -> Iterator[tuple[str, bytes]]:
    """Yield (name, content) of everything that outlives a request."""
    yield "output of make run", house.output.read_bytes()
    for path in sorted((house.var / "log").glob("*")):
        yield f"log {path.name}", path.read_bytes()
    for path in sorted(house.var.glob("kuaida.db*")):
        yield f"SQL file {path.name}", path.read_bytes()
    yield from redis_places(house)
    yield from pages(house)
    for pid in house.alive():
        line = Path(f"/proc/{pid}/cmdline")
        yield f"command line {pid}", line.read_bytes() if line.exists() else b""


def pages(house: House) -> Iterator[tuple[str, bytes]]:
    """Yield what Flower, metrics and the internal pages show."""
    tasks = flower(house, "/api/tasks?limit=1000")
    for path in ("/", "/tasks", "/workers", "/broker", "/metrics"):
        yield f"Flower {path}", flower(house, path).body
    yield "Flower /api/tasks", tasks.body
    for task in list(tasks.json)[:50]:
        yield f"Flower /task/{task}", flower(house, f"/task/{task}").body
    admin = house.secret("admin_token")
    for path in ("/metrics", "/readyz", "/openapi.json"):
        yield f"internal {path}", house.ops(path).body
    for path in ("/admin/v1/outbox?state=dead", "/admin/v1/outbox?state=done"):
        yield f"internal {path}", house.ops(path, token=admin).body


def redis_places(house: House) -> Iterator[tuple[str, bytes]]:
    """Yield every key of Redis with its whole value in clear."""
    read: dict[bytes, Any] = {
        b"string": lambda link, key: link.get(key),
        b"hash": lambda link, key: link.hgetall(key),
        b"list": lambda link, key: unpacked(link.lrange(key, 0, -1)),
        b"set": lambda link, key: link.smembers(key),
        b"zset": lambda link, key: link.zrange(key, 0, -1),
        b"stream": lambda link, key: link.xrange(key),
    }
    with house.redis() as link:
        for key in link.scan_iter(count=1000):
            kind = link.type(key)
            value = read[kind](link, key) if kind in read else link.dump(key)
            yield f"Redis {key.decode(errors='replace')}", key + flat(value)


def flat(value: Any) -> bytes:
    """Return nested replies as one text."""
    if isinstance(value, bytes):
        return value
    if isinstance(value, dict):
        return b" ".join(flat(part) for pair in value.items() for part in pair)
    if isinstance(value, list | tuple | set):
        return b" ".join(flat(part) for part in value)
    return str(value).encode()


def unpacked(messages: list[bytes]) -> list[bytes]:
    """Return Celery messages with their base64 bodies opened."""
    opened = list(messages)
    for message in messages:
        try:
            opened.append(base64.b64decode(json.loads(message)["body"]))
        except (ValueError, KeyError, TypeError):
            continue
    return opened
