"""The limiter under two processes, against the number that must come out."""

from __future__ import annotations

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from math import floor
from typing import TYPE_CHECKING, NamedTuple

from config.clock import monotonic, now_ms
from models.stores.keys import Keys
from tests.bench.report import table
from tests.identity.knocks import Knock, Told, limits, person, send
from tests.identity.section import Findings, Section
from tests.identity.two_webs import WEBS, two_webs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.servers.phone import Phone
    from tests.servers.stack import Stack

ME = "/api/v1/me"
CLIENTS = 40
HEAD = (
    "bucket", "s", "asked", "admitted", "one + two", "b + floor(r*T)", "left over",
)  # fmt: skip


class Trial(NamedTuple):
    """A bucket, and for how long it is asked as fast as the clients can."""

    burst: int
    refill: float
    seconds: float


class Flood(NamedTuple):
    """Who answered what, and how the bucket stood after the first and the last."""

    answers: list[tuple[str, Told]]
    began: Level
    ended: Level
    idle_s: float


class Level(NamedTuple):
    """A bucket as Redis has it: what is left, at which of Redis' milliseconds."""

    tokens: float
    at: int


TRIALS = (Trial(50, 20, 10), Trial(5, 0.5, 10), Trial(200, 10, 10), Trial(20, 40, 10))


def run(folder: Path) -> Findings:
    """Ask each bucket by many clients over both processes; compare the counts."""
    found = Findings()
    rows = []
    for number, trial in enumerate(TRIALS):
        rules = limits(read_user=f"{trial.burst}/{trial.refill}")
        with two_webs(folder / str(number), RATE_LIMITS=rules) as (stack, _):
            rows.append(try_bucket(stack, trial, found))
    found.figures = {
        "clients": f"{CLIENTS}, each asking the next process at each request",
        "expectation": "admitted = b + floor(r*T), T from the first to the last "
        "admission by Redis' clock",
        "granularity": "none is granted: T is read from the bucket, in the whole "
        "milliseconds that the script counted with",
    }
    found.table = table(HEAD, rows)
    return found


def try_bucket(stack: Stack, trial: Trial, found: Findings) -> list[str]:
    """Return the line of one trial."""
    for name in WEBS:
        # A first request also opens connections: it takes long.
        ask(stack, name, person(stack))
    phone = person(stack)
    flood = ask_by_many(stack, phone, trial.seconds)
    while flood.idle_s * trial.refill >= 1:
        # The bucket stood full again before the crowd came: refill was lost.
        phone = person(stack)
        flood = ask_by_many(stack, phone, trial.seconds)
    passed = Counter(name for name, told in flood.answers if told.status == 200)
    admitted = sum(passed.values())
    elapsed_s = (flood.ended.at - flood.began.at) / 1000
    wanted = trial.burst + floor(trial.refill * elapsed_s)
    words = f"bucket {trial.burst}/{trial.refill:g}"
    found.expect(admitted == wanted, f"{words}: {admitted} admitted, not {wanted}")
    asked = Counter(name for name, _ in flood.answers)
    fair = min(asked[name] for name in WEBS) > len(flood.answers) / 3
    found.expect(fair, f"{words}: asked were {dict(asked)}")
    over = trial.burst + trial.refill * elapsed_s - admitted
    fits = abs(over - flood.ended.tokens) < 0.001
    found.expect(fits, f"{words}: the rest does not fit")
    judge_answers(words, [told for _, told in flood.answers], trial, found)
    return [
        f"{trial.burst}/{trial.refill:g}",
        f"{elapsed_s:.3f}",
        str(len(flood.answers)),
        str(admitted),
        " + ".join(str(passed[name]) for name in WEBS),
        str(wanted),
        f"{flood.ended.tokens:.3f}",
    ]


def judge_answers(
    words: str, answers: list[Told], trial: Trial, found: Findings
) -> None:
    """Expect every answer to tell the quota, and each refusal a wait that is true."""
    kinds = Counter((told.status, told.reason) for told in answers)
    known = {(200, ""), (429, "rate_limited")}
    found.expect(set(kinds) <= known, f"{words}: odd answers {kinds}")
    silent = [told for told in answers if told.left[0] != str(trial.burst)]
    found.expect(not silent, f"{words}: {len(silent)} answers without the quota")
    longest_ms = 1000 / trial.refill
    waits = [told.retry_after_ms for told in answers if told.status == 429]
    fair = all(0 < wait <= longest_ms + 1 for wait in waits)
    found.expect(fair, f"{words}: waits up to {max(waits, default=0)} ms")


def ask(stack: Stack, name: str, phone: Phone) -> Told:
    """Read the own profile at one of the processes."""
    head = {"Authorization": f"Bearer {phone.data['access_token']}"}
    return send(stack.ports[name], Knock("GET", ME, head))


def ask_by_many(stack: Stack, phone: Phone, seconds: float) -> Flood:
    """Ask once, then as fast as all clients can, for so long."""
    gate = threading.Barrier(CLIENTS + 1)
    firsts: list[int] = []

    def client(number: int) -> list[tuple[str, Told]]:
        gate.wait()
        return list(asking(number, monotonic() + seconds))

    def asking(number: int, end: float) -> Iterator[tuple[str, Told]]:
        while monotonic() < end:
            number += 1
            name = WEBS[number % 2]
            yield name, ask(stack, name, phone)
            firsts.append(now_ms())

    with ThreadPoolExecutor(CLIENTS) as pool:
        parts = [pool.submit(client, number) for number in range(CLIENTS)]
        first = WEBS[0], ask(stack, WEBS[0], phone)
        began = level(stack, phone)
        gate.wait()
        answers = [pair for part in parts for pair in part.result()]
    # Redis' clock is this machine's.
    idle_s = (min(firsts) - began.at) / 1000
    return Flood([first, *answers], began, level(stack, phone), idle_s)


def level(stack: Stack, phone: Phone) -> Level:
    """Return the user's bucket as it stands in Redis."""
    key = Keys("kuaida").bucket("read.user", phone.user_id)
    raw = stack.redis.client().get(key)
    assert isinstance(raw, bytes)
    tokens, _, at = raw.partition(b":")
    return Level(float(tokens), int(at))


SECTION = Section(
    name="limiter-exactness",
    title="The limiter under two processes against its exact expectation",
    about=(
        "One user's bucket of burst b and refill r a second, asked over two web "
        "processes by 40 clients at once. `left over` is what stays in the bucket: "
        "admitted and left over make b + r*T to the thousandth."
    ),
    run=run,
)
