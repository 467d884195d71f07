"""P9: equal writes at once, over killed processes and a wiped Redis, are one write."""

from __future__ import annotations

import itertools
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING

import urllib3

from tests.faults.drill import Drill, Findings
from tests.faults.loads.patches import logged_in
from tests.servers.house import House

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.faults.ground import Ground
    from tests.servers.http import Answer
    from tests.servers.phone import Phone

NUMBERS = itertools.count(1)
EFFECTS = "SELECT COUNT(*) FROM user_events WHERE type = 'profile.updated'"


def write(phone: Phone, key: str, nickname: str) -> Answer | None:
    """Send one write under a key; None when the process that had it died."""
    with suppress(urllib3.exceptions.HTTPError):
        return phone.api(
            "PATCH",
            "/me",
            token=phone.data["access_token"],
            body={"nickname": nickname},
            headers={"Idempotency-Key": key},
        )
    return None


def run(ground: Ground, findings: Findings, counts: Mapping[str, int]) -> None:
    """Send each key many times at once; every other round kills a web process."""
    phone = logged_in(ground)
    odd = killed = replayed = unmarked = doubled = lost = 0
    with ThreadPoolExecutor(counts["at_once"]) as pool:
        for number in range(counts["rounds"]):
            key, before = f"key-{next(NUMBERS)}", ground.number(EFFECTS)
            same = [
                pool.submit(write, phone, key, key) for _ in range(counts["at_once"])
            ]
            if number % 2:
                main = ground.stack.running["web"].pid
                os.kill(ground.random.choice(House.children(main)), signal.SIGKILL)
                killed += 1
            answers = [future.result() for future in same]
            if number % 3 == 2:
                ground.redis.flush()
            again = until_answered(phone, key)
            bodies = {a.json["data"] and str(a.json["data"]) for a in (*answers, again)
                      if a is not None and a.status == 200}  # fmt: skip
            odd += len(bodies) != 1
            # When everybody who asked had died, this was the first to be answered.
            told = any(a is not None and a.status == 200 for a in answers)
            marked = again.headers.get("Idempotent-Replayed") == "true"
            replayed, unmarked = replayed + marked, unmarked + (told and not marked)
            effects = ground.number(EFFECTS) - before
            doubled, lost = doubled + (effects > 1), lost + (effects < 1)
            other = write(phone, key, "another body")
            odd += other is not None and other.status != 422
    findings.expect(doubled == 0, f"{doubled} keys had two effects")
    findings.expect(lost == 0, f"{lost} answered keys had no effect")
    findings.expect(odd == 0, f"{odd} answers differed or another body was taken")
    findings.expect(unmarked == 0, f"{unmarked} replays were not marked")
    findings.figures.update(
        keys=counts["rounds"],
        at_once=counts["at_once"],
        web_processes_killed=killed,
        keys_with_two_effects=doubled,
        replays_marked=replayed,
    )


def until_answered(phone: Phone, key: str) -> Answer:
    """Repeat a write as a client does, until it is answered 200."""
    for _ in range(100):
        answer = write(phone, key, key)
        if answer is not None and answer.status == 200:
            return answer
    raise AssertionError(key)


DRILL = Drill(
    name="equal-writes",
    promise="P9",
    does="the same Idempotency-Key many times at once; web processes are killed in "
    "between and Redis is wiped",
    rule="one effect a key, equal answers, repetitions marked, another body is 422",
    run=run,
    full={"rounds": 40, "at_once": 50},
    processes=("wechat", "web"),
    settings={"WEB_PROCESSES": "3"},
)
