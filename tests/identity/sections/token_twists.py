"""Access tokens, twisted by somebody who has the key: all are refused, over HTTP."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from tests.bench.report import table
from tests.identity.forge import Forge, Tokens
from tests.identity.section import Findings, Section
from tests.identity.senders import send_over_wire
from tests.identity.twist import Wanted, bearer
from tests.identity.twists import all_twists
from tests.servers.phone import Phone
from tests.servers.stack import Stack, standing

if TYPE_CHECKING:
    from pathlib import Path

HEAD = ("group", "twist", "status", "reason")
LIVE = Wanted(200, "")


def run(folder: Path) -> Findings:
    """Try every twist on two web processes."""
    found = Findings()
    with standing(Stack(folder), "wechat", "web") as stack:
        key = bytes.fromhex((stack.var / "secrets" / "jwt_key").read_text())
        forge = Forge(key, logged_in(stack, again=True), logged_in(stack))
        port = stack.ports["web"]
        own = [forge.own.access, forge.token(), forge.headed()]
        live = [send_over_wire(port, bearer(token)) for token in own]
        found.expect(live == [LIVE] * len(own), f"own tokens got {live}")
        lines = try_out(port, forge, found)
    found.figures = {
        "twists": len(lines),
        "let in": sum(line[2] == "200" for line in lines),
        "answers": told(Counter(f"{line[2]} {line[3]}" for line in lines)),
    }
    found.table = table(HEAD, lines)
    return found


def try_out(port: int, forge: Forge, found: Findings) -> list[list[str]]:
    """Return what each twist was answered, as lines of the table."""
    lines = []
    for twist in all_twists():
        got = send_over_wire(port, twist.send(forge))
        found.expect(
            got == twist.wanted,
            f"{twist.name}: {got.status} {got.reason}",
        )
        lines.append([twist.group, twist.name, str(got.status), got.reason])
    return lines


def logged_in(stack: Stack, *, again: bool = False) -> Tokens:
    """Return the tokens of a new user, or of one in its second epoch."""
    phone = Phone(stack)
    data = phone.login().data
    if again:
        token, body = data["access_token"], {"scope": "all"}
        phone.api("POST", "/auth/logout", token=token, body=body)
        data = phone.login().data
    return Tokens(data["access_token"], data["refresh_token"])


def told(counts: Counter[str]) -> str:
    """Return the answers and how often each came."""
    return ", ".join(f"{words} x {count}" for words, count in counts.most_common())


SECTION = Section(
    name="token-twists",
    title="Token twists",
    about=(
        "Each token is made from a real one, with the real key, and differs in one "
        "thing; `key` and `text` are what can be tried without the key."
    ),
    run=run,
)
