"""One refresh token from fifty callers at once, over two processes, a hundred times."""

from __future__ import annotations

import socket
import statistics
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import sqlalchemy as sa

from config.clock import monotonic, sleep
from tests.bench.report import table
from tests.identity.section import Findings, Section
from tests.identity.two_webs import two_webs
from tests.servers.http import call
from tests.servers.phone import Phone

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.servers.http import Answer
    from tests.servers.stack import Stack

ROUNDS, WITHOUT_REDIS, CALLERS = 100, 20, 50
# The default.
GRACE_S = 10
PATH = "/api/v1/auth/refresh"
HEAD = ("rounds", "callers", "answers 200", "successors", "slowest answer ms")


def run(folder: Path) -> Findings:
    """Storm with Redis and without, then use an old token again."""
    found, lines = Findings(), []
    with two_webs(folder, REFRESH_GRACE_S=str(GRACE_S)) as (stack, bases):
        phone = Phone(stack)
        first = phone.login().data
        data = first
        for redis, rounds in ((True, ROUNDS - WITHOUT_REDIS), (False, WITHOUT_REDIS)):
            if not redis:
                stack.redis.process.freeze()
            storm = Storm(bases, found)
            for _ in range(rounds):
                data = storm.round(data)
            lines.append([f"{rounds} {'with' if redis else 'without'} Redis",
                          *storm.cells()])  # fmt: skip
        stack.redis.process.thaw()
        found.figures["sessions of the user in SQL"] = judge_rows(stack, data, found)
        sleep(GRACE_S + 0.5)
        judge_reuse(bases, first, data, found)
    found.table = table(HEAD, lines)
    return found


class Storm:
    """Rounds of one kind, counted."""

    def __init__(self, bases: Sequence[str], found: Findings) -> None:
        self.bases = [base for base, _ in zip(cycle(bases), range(CALLERS))]
        self.found = found
        self.answered = self.successors = 0
        self.slowest: list[float] = []

    def round(self, data: dict[str, Any]) -> dict[str, Any]:
        """Have everybody refresh the token of ``data`` and return what they got.

        One more caller goes away before it is answered.
        """
        token = data["refresh_token"]
        hang_up(self.bases[0], token)
        with ThreadPoolExecutor(CALLERS) as pool:
            told = list(pool.map(lambda base: timed(base, token), self.bases))
        self.slowest.append(max(seconds for _, seconds in told))
        good = [answer.data for answer, _ in told if answer.status == 200]
        self.answered += len(good)
        pairs = {(one["refresh_token"], one["access_token"]) for one in good}
        self.successors += len(pairs)
        others = Counter(answer.reason for answer, _ in told if answer.status != 200)
        self.found.expect(not others, f"refused: {dict(others)}")
        self.found.expect(len(pairs) == 1, f"{len(pairs)} successors of one token")
        return {**data, **good[0]} if good else data

    def cells(self) -> list[str]:
        """Return the figures of the rounds."""
        slowest = statistics.median(self.slowest), max(self.slowest)
        middle, worst = (f"{seconds * 1000:.0f}" for seconds in slowest)
        return [
            str(CALLERS),
            str(self.answered),
            str(self.successors),
            f"median {middle}, worst {worst}",
        ]


def timed(base: str, token: str) -> tuple[Answer, float]:
    """Refresh once and say how long it took."""
    began = monotonic()
    answer = call("POST", base + PATH, body={"refresh_token": token})
    return answer, monotonic() - began


def hang_up(base: str, token: str) -> None:
    """Send a refresh and close the connection before its answer."""
    place = urlsplit(base)
    body = f'{{"refresh_token": "{token}"}}'
    text = (
        f"POST {PATH} HTTP/1.1\r\nHost: {place.netloc}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    )
    with socket.create_connection((place.hostname, place.port), 5) as line:
        line.sendall(text.encode())


def judge_rows(stack: Stack, data: dict[str, Any], found: Findings) -> int:
    """Return how many sessions SQL holds; there must be the one, as it is now."""
    engine = sa.create_engine(stack.database_url)
    with engine.connect() as link:
        rows = link.execute(sa.text("SELECT id, generation FROM sessions")).all()
    engine.dispose()
    # Each round is one rotation, whoever came first: the login made generation 1.
    wanted = [(data["session_id"], ROUNDS + 1)]
    found.expect([tuple(row) for row in rows] == wanted, f"sessions {rows}")
    return len(rows)


def judge_reuse(
    bases: Sequence[str], old: dict[str, Any], new: dict[str, Any], found: Findings
) -> None:
    """Use the first token again: it ends the session, for its newest token too."""
    told = [timed(bases[0], old["refresh_token"])[0]]
    told += [timed(base, new["refresh_token"])[0] for base in bases]
    reasons = [answer.reason for answer in told]
    wanted = ["refresh_reused", "session_revoked", "session_revoked"]
    found.expect(reasons == wanted, f"after reuse: {reasons}")
    found.figures["the first token once more, then the newest"] = ", ".join(reasons)


SECTION = Section(
    name="refresh-storm",
    title="Refresh storm",
    about=(
        f"{CALLERS} callers send one refresh token at the same time, half of them to "
        f"each of two web processes, {ROUNDS} rounds, each with the successor of the "
        f"one before; one caller more hangs up unanswered. For {WITHOUT_REDIS} rounds "
        "Redis is frozen and MariaDB decides."
    ),
    run=run,
)
