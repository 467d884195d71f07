"""P18: thousands of twisted requests; no answer is a 5xx and memory stays."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import urllib3

from config.clock import monotonic
from tests.faults.drill import Drill, Findings
from tests.faults.loads.load import quantile
from tests.faults.loads.patches import logged_in
from tests.faults.samples import sample
from tests.servers.http import call

if TYPE_CHECKING:
    import random
    from collections.abc import Mapping

    from tests.faults.ground import Ground

SLOW_S, GROWTH_MB, THREADS = 1.0, 50, 4
ROUTES = (
    ("POST", "/api/v1/auth/login"), ("POST", "/api/v1/auth/refresh"),
    ("POST", "/api/v1/auth/logout"), ("PATCH", "/api/v1/me"), ("GET", "/api/v1/me"),
    ("GET", "/api/v1/events"), ("GET", "/api/v1/operations/{}"),
    ("POST", "/api/v1/operations/{}/cancel"), ("GET", "/api/hello"), ("PUT", "/{}"),
)  # fmt: skip
FIELDS = ("code", "device", "app_id", "refresh_token", "scope", "nickname", "gender",
          "avatar_url", "city", "id", "")  # fmt: skip
VALUES: tuple[Any, ...] = (
    None, True, 0, -1, 10**18, 1.5, "", "a", "x" * 3000, "\x00", "\u202e", "名字😀",
    "' OR 1=1 --", "../../etc/passwd", [], [[]], {}, {"a": {"b": []}}, "\r\nX: y",
)  # fmt: skip
BODIES = (
    b"", b"{", b"[" * 5000, b'{"a": NaN}', b'{"a": 1e400}', b'{"a":1,"a":2}',
    b"\xff\xfe", b'"\\ud800"', b"null", b"\x00" * 100,
    b'{"nickname": "\\ud800"}', b"a=b&c=d",
)  # fmt: skip
PARTS = ("op_1", "%00", "..%2f", "a" * 500, "名", "%", "?wait_ms=-1", "?wait_ms=x")
# So little time that a busy machine may use it up: then 503 is the right answer.
IMPATIENT = {"X-Timeout-Ms": "100"}
HEADERS: tuple[dict[str, str], ...] = (
    {}, {"Content-Type": "text/plain"}, {"X-Timeout-Ms": "-5"}, IMPATIENT,
    {"Idempotency-Key": ""}, {"Idempotency-Key": "k" * 300},
    {"Accept-Language": "\x7f"},
    {"X-Request-Id": "<script>"}, {"Authorization": "Basic x"}, {"Accept": "*/*;q=2"},
)  # fmt: skip


def twisted(rng: random.Random) -> dict[str, Any]:
    """Return one request that no honest client sends."""
    method, path = rng.choice(ROUTES)
    path = path.replace("{}", rng.choice(PARTS))
    if rng.random() < 0.4:
        body = rng.choice(BODIES)
    else:
        names = rng.sample(FIELDS, rng.randint(0, 4))
        fields = {name: rng.choice(VALUES) for name in names}
        body = json.dumps(fields).encode()
    return {"method": method, "path": path, "body": None if method == "GET" else body,
            "headers": dict(rng.choice(HEADERS))}  # fmt: skip


def run(ground: Ground, findings: Findings, counts: Mapping[str, int]) -> None:
    """Send them from a few threads, half of them logged in."""
    phone, rng = logged_in(ground), ground.random
    requests = [twisted(rng) for _ in range(counts["requests"])]
    before = sample(ground)["web"].rss_mb

    def send(numbered: tuple[int, dict[str, Any]]) -> tuple[int, float, str]:
        number, one = numbered
        start, url = monotonic(), ground.stack.url("web") + one["path"]
        token = phone.data["access_token"] if number % 2 else None
        if "Authorization" in one["headers"]:
            token = None
        try:
            answer = call(one["method"], url, body=one["body"], token=token,
                          headers=one["headers"])  # fmt: skip
        except urllib3.exceptions.HTTPError as error:
            return 0, monotonic() - start, f"{type(error).__name__} {one['path']}"
        waited = "/events" in one["path"] and answer.status == 200
        seconds = 0.0 if waited else monotonic() - start
        return answer.status, seconds, f"{one['method']} {one['path'][:60]}"

    with ThreadPoolExecutor(THREADS) as pool:
        seen = list(pool.map(send, enumerate(requests)))
    grown = sample(ground)["web"].rss_mb - before
    late = [answer[0] == 503 and one["headers"] == IMPATIENT
            for answer, one in zip(seen, requests, strict=True)]  # fmt: skip
    faults = [words for (status, _, words), is_late in zip(seen, late, strict=True)
              if status >= 500 and not is_late]  # fmt: skip
    slow = [words for _, seconds, words in seen if seconds > SLOW_S]
    statuses: dict[int, int] = {}
    for status, _, _ in seen:
        statuses[status] = statuses.get(status, 0) + 1
    findings.expect(not faults, f"{len(faults)} answers were 5xx: {faults[:3]}")
    findings.expect(not slow, f"{len(slow)} took over 1 s: {slow[:3]}")
    findings.expect(grown < GROWTH_MB, f"memory grew {grown:.0f} MB")
    findings.figures.update(
        requests=len(seen),
        statuses=dict(sorted(statuses.items())),
        p99_ms=round(1000 * quantile([seconds for _, seconds, _ in seen], 99)),
        out_of_their_100_ms=sum(late),
        memory_grew_mb=round(grown, 1),
    )


DRILL = Drill(
    name="fuzz",
    promise="P18",
    does="requests put together from hostile paths, headers and bodies, half with a "
    "token (the schema-based fuzzing is in the e2e tier)",
    rule="0 answers 5xx, none over 1 s, memory of the web grows < 50 MB",
    run=run,
    full={"requests": 10_000},
    at_scale={"requests": 50_000},
    processes=("wechat", "web", "relay", "worker"),
    alone=True,
)
