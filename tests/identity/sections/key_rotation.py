"""The key of access tokens changes under load; nobody notices, then the old ends."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import jwt

from config.clock import monotonic, now_ms, sleep
from tests.identity.forge import Forge, Tokens
from tests.identity.section import Findings, Section
from tests.identity.senders import send_over_wire
from tests.identity.twist import bearer, now
from tests.identity.two_webs import WEBS, two_webs
from tests.servers.http import call
from tests.servers.phone import Phone
from tests.servers.stack import ROOT

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from typing import Any

    from tests.servers.stack import Stack

ACCESS_S, LEEWAY_S, RELOAD_S = 6, 1, 1
OVERLAP_S = ACCESS_S + LEEWAY_S + RELOAD_S
# A process may notice an end so much late at most.
LATE_S = RELOAD_S + 1.0
SETTINGS = {
    "ACCESS_TOKEN_S": str(ACCESS_S),
    "TOKEN_LEEWAY_S": str(LEEWAY_S),
    "JWT_KEY_RELOAD_S": str(RELOAD_S),
}


@dataclass(slots=True)
class Walker:
    """A phone that reads at one process and refreshes at the other, all the time."""

    bases: Sequence[str]
    data: dict[str, Any]
    over: threading.Event = field(default_factory=threading.Event)
    answers: Counter[str] = field(default_factory=Counter)
    kids: set[str] = field(default_factory=set)

    def walk(self) -> None:
        """Go on until told to end."""
        here, there = self.bases
        while not self.over.is_set():
            for _ in range(20):
                told = call("GET", f"{here}/api/v1/me", token=self.data["access_token"])
                self.answers["ok" if told.status == 200 else told.reason] += 1
                sleep(0.05)
            body = {"refresh_token": self.data["refresh_token"]}
            told = call("POST", f"{there}/api/v1/auth/refresh", body=body)
            self.answers["ok" if told.status == 200 else told.reason] += 1
            self.data = told.data
            header = jwt.get_unverified_header(self.data["access_token"])
            self.kids.add(header["kid"])


def run(folder: Path) -> Findings:
    """Rotate while phones walk; then end a key at once."""
    found = Findings()
    with two_webs(folder, **SETTINGS) as (stack, bases):
        pairs = [bases, tuple(reversed(bases))] * 2
        walkers = [Walker(pair, Phone(stack).login().data) for pair in pairs]
        threads = [threading.Thread(target=one.walk) for one in walkers]
        for thread in threads:
            thread.start()
        try:
            watch_rotation(stack, found)
        finally:
            for one in walkers:
                one.over.set()
            for thread in threads:
                thread.join()
        judge_walkers(walkers, found)
        watch_leak(stack, found)
    return found


def watch_rotation(stack: Stack, found: Findings) -> None:
    """Rotate, and look how long what the old key signs is believed."""
    old = forge_of(stack)
    sleep(1)
    found.expect(rotate(stack) == 0, "the rotation failed")
    # In the file stands until when the old key verifies.
    until = (stack.var / "secrets" / "jwt_key_previous").read_text().split()[-1]
    over_at = monotonic() + (int(until) - now_ms()) / 1000
    found.expect(rotate(stack) == 1, "a third key was drawn inside the overlap")
    for left_s in (4, 2.5, 1):
        sleep(max(0.0, over_at - left_s - monotonic()))
        told = {send_over_wire(port, bearer(fresh(old))) for port in ports(stack)}
        good = {answer.status for answer in told} == {200}
        found.expect(good, f"the old key failed {left_s} s before its end: {told}")
    ended = [ends(port, old) - over_at for port in ports(stack)]
    found.figures["overlap by the settings"] = f"{OVERLAP_S} s"
    words = ", ".join(f"{seconds:+.2f} s" for seconds in ended)
    found.figures["old key last believed, by process, against its end"] = words
    found.expect(max(ended) <= LATE_S, f"the old key lived on: {words}")


def judge_walkers(walkers: Sequence[Walker], found: Findings) -> None:
    """Nobody was refused, and everybody met both keys."""
    answers = sum((one.answers for one in walkers), Counter[str]())
    found.figures["answers to four phones meanwhile"] = dict(answers)
    found.expect(set(answers) == {"ok"}, f"phones were refused: {dict(answers)}")
    found.expect(all(len(one.kids) == 2 for one in walkers), "not all met both keys")


def watch_leak(stack: Stack, found: Findings) -> None:
    """End a key at once, as after a leak."""
    old = forge_of(stack)
    found.expect(rotate(stack, "--end-old") == 0, "the key was not ended")
    began = monotonic()
    gone = max(ends(port, old) - began for port in ports(stack))
    found.figures["after --end-old, last believed"] = f"{max(0.0, gone):.1f} s"
    found.expect(gone <= LATE_S, f"an ended key lived {gone:.1f} s")


def ends(port: int, old: Forge) -> float:
    """Return when the process stops to believe the key; unharmed by the clock."""
    seen = monotonic()
    while send_over_wire(port, bearer(fresh(old))).status == 200:
        seen = monotonic()
        sleep(0.05)
    return seen


def fresh(forge: Forge) -> str:
    """Return a token that somebody with the old key makes now."""
    return forge.token(iat=now(), nbf=now(), exp=now() + ACCESS_S)


def forge_of(stack: Stack) -> Forge:
    """Return a forger with the present key and a session of its own."""
    key = bytes.fromhex((stack.var / "secrets" / "jwt_key").read_text())
    data = Phone(stack).login().data
    own = Tokens(data["access_token"], data["refresh_token"])
    return Forge(key, own, own)


def ports(stack: Stack) -> list[int]:
    """Return the ports of both processes."""
    return [stack.ports[name] for name in WEBS]


def rotate(stack: Stack, *options: str) -> int:
    """Run the command as an operator does and return how it ended."""
    command = [sys.executable, "-m", "flask", "--app", "web.wsgi", "rotate-jwt-key"]
    done = subprocess.run(
        [*command, *options],
        cwd=ROOT,
        env=stack.environment,
        capture_output=True,
        check=False,
    )
    return done.returncode


SECTION = Section(
    name="key-rotation",
    title="Key rotation",
    about=(
        f"Access tokens live {ACCESS_S} s here. Four phones read and refresh at two "
        "web processes while `rotate-jwt-key` is run; then tokens are made with the "
        "old key until they are refused. No process is restarted."
    ),
    run=run,
)
