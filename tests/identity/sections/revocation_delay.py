"""How long a session is still let in after its end was answered, on each process."""

from __future__ import annotations

import statistics
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from config.clock import monotonic, sleep
from tests.bench.report import table
from tests.identity.section import Findings, Section
from tests.identity.two_webs import two_webs
from tests.servers.http import call
from tests.servers.phone import Phone

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.servers.stack import Stack

TIMES = range(20)
EVERY_S = 0.005
# A session that is let in longer than this breaks the promise.
PROMISE_MS = 1000
LOOK_ON_S = 1.2
HEAD = ("end", "times", "requests after it", "let in after it", "delay ms, median",
        "worst")  # fmt: skip

End = Callable[["Scene"], None]


@dataclass(slots=True)
class Watch:
    """Asks one process again and again whether a session still lives."""

    base: str
    token: str
    over: threading.Event = field(default_factory=threading.Event)
    # When each request was sent, and whether it was let in.
    seen: list[tuple[float, bool]] = field(default_factory=list)

    def look(self) -> None:
        """Ask until told to end."""
        while not self.over.is_set():
            sent = monotonic()
            answer = call("GET", f"{self.base}/api/v1/me", token=self.token)
            self.seen.append((sent, answer.status == 200))
            sleep(EVERY_S)

    def after(self, moment: float) -> list[tuple[float, bool]]:
        """Return what was asked after ``moment``."""
        return [one for one in self.seen if one[0] >= moment]


@dataclass(slots=True)
class Scene:
    """A session that ends, and what its phone may do."""

    stack: Stack
    bases: Sequence[str]
    victim: Phone
    other: Phone


def run(folder: Path) -> Findings:
    """End sessions in every way, watched on both processes."""
    found, lines = Findings(), []
    settings = {"REFRESH_GRACE_S": "0"}
    with two_webs(folder, "ops", "relay", "worker", **settings) as (stack, bases):
        for name, end in ENDS.items():
            lines.append(line_of(name, [watched(stack, bases, end) for _ in TIMES]))
            worst = float(lines[-1][-1])
            found.expect(worst <= PROMISE_MS, f"{name}: {worst:.0f} ms")
    found.table = table(HEAD, lines)
    return found


def line_of(name: str, measured: Sequence[tuple[float, int, int]]) -> list[str]:
    """Return the cells of one way to end."""
    delays, asked, let_in = zip(*measured, strict=True)
    return [
        name,
        str(len(measured)),
        str(sum(asked)),
        str(sum(let_in)),
        f"{statistics.median(delays):.0f}",
        f"{max(delays):.0f}",
    ]


def watched(stack: Stack, bases: Sequence[str], end: End) -> tuple[float, int, int]:
    """End one session; return the delay in ms, requests after it, those let in."""
    victim = Phone(stack)
    victim.login()
    other = Phone(stack)
    other.openid = victim.openid
    other.login()
    scene = Scene(stack, bases, victim, other)
    watches = [Watch(base, victim.data["access_token"]) for base in bases]
    threads = [threading.Thread(target=watch.look) for watch in watches]
    for thread in threads:
        thread.start()
    try:
        end(scene)
        answered = monotonic()
        sleep(LOOK_ON_S)
    finally:
        for watch in watches:
            watch.over.set()
        for thread in threads:
            thread.join()
    after = [one for watch in watches for one in watch.after(answered)]
    late = [sent - answered for sent, good in after if good]
    return max(late, default=0) * 1000, len(after), len(late)


def log_out(scene: Scene) -> None:
    """The phone logs itself out."""
    sent(scene.victim, "this")


def log_out_others(scene: Scene) -> None:
    """Another phone logs all others out."""
    sent(scene.other, "others")


def log_out_all(scene: Scene) -> None:
    """Another phone logs everybody out."""
    sent(scene.other, "all")


def sent(phone: Phone, scope: str) -> None:
    """Send a logout."""
    token = phone.data["access_token"]
    answer = phone.api("POST", "/auth/logout", token=token, body={"scope": scope})
    assert answer.status == 200, answer.body


def reuse(scene: Scene) -> None:
    """A thief uses the refresh token once more than is allowed."""
    assert scene.victim.refresh().status == 200
    sleep(0.01)
    assert scene.victim.refresh().reason == "refresh_reused"


def ban(scene: Scene) -> None:
    """An administrator shuts the user out."""
    stack = scene.stack
    token = (stack.var / "secrets" / "admin_token").read_text().strip()
    path = f"/admin/v1/users/{scene.victim.user_id}/ban"
    body = {"reason": "tried by the identity report"}
    answer = call("POST", stack.url("ops") + path, token=token, body=body)
    assert answer.status == 200, answer.body


def log_out_by_sql(scene: Scene) -> None:
    """The phone logs itself out while Redis is frozen."""
    scene.stack.redis.process.freeze()
    try:
        sent(scene.victim, "this")
    finally:
        scene.stack.redis.process.thaw()


ENDS: dict[str, End] = {
    "logout of this session": log_out,
    "logout of the others, by another": log_out_others,
    "logout of all, by another": log_out_all,
    "refresh token used again": reuse,
    "ban by an administrator, on a third process": ban,
    "logout while Redis is frozen, then thawed": log_out_by_sql,
}

SECTION = Section(
    name="revocation-delay",
    title="Revocation delay",
    about=(
        "Two web processes are asked every 5 ms whether a session lives. Its end is "
        "answered by one of them; the delay is from that answer to the last request "
        "sent, to either process, that was still let in (0: none was)."
    ),
    run=run,
)
