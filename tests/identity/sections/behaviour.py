"""Bots, scanners, a farm and a person before the rules, in a whole deployment."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NamedTuple

from config.clock import monotonic, sleep
from tests.bench.report import table
from tests.identity.section import Findings, Section
from tests.servers.http import call
from tests.servers.phone import Phone
from tests.servers.stack import Stack, standing

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PROCESSES = ("wechat", "web", "ops", "relay", "worker", "beat")
# Half a minute of behaviour is a pattern here, so that the report need not wait.
QUICK = {
    "RISK_BUSY": "20",
    "RISK_WINDOW_S": "30",
    "RISK_FAST": "100/30",
    "RISK_SCAN": "30/40",
    "RISK_USERS_PER_DEVICE": "5/60",
    "RISK_ACTIONS": '{"slow": 40, "verify": 70, "block": 150}',
    "RATE_LIMITS": '{"read.user": "400/80", "login.device": "400/80", '
    '"login.ip": "10000/1000", "read.ip": "10000/1000", "write.ip": "10000/1000"}',
}
TICK_S = 0.1
AT_WORK_S = 40
PATIENCE_S = 90
HEAD = ("who", "does", "rules", "action", "seen after s")


class Seen(NamedTuple):
    """What the internal listener told of somebody, and how long it took."""

    rules: list[str]
    action: str
    after_s: float


def run(folder: Path) -> Findings:
    """Let all of them live at once, and ask what the rules made of them."""
    found = Findings()
    with standing(Stack(folder, **QUICK), *PROCESSES) as stack:
        bot, scanner, person = (logged_in(stack) for _ in range(3))
        began = monotonic()
        with ThreadPoolExecutor(4) as pool:
            lives = [
                pool.submit(live_as_bot, bot),
                pool.submit(live_as_scanner, scanner),
                pool.submit(live_as_person, person),
            ]
            farm = raise_farm(stack)
            seen = {
                "bot": wait_for(stack, bot.user_id, began, {"slow"}),
                "scanner": wait_for(stack, scanner.user_id, began, {"verify"}),
                "farm": wait_for(stack, farm, began, {"slow"}),
            }
            for life in lives:
                life.result()
        seen["person"] = look(stack, person.user_id, began)
        judge(stack, (bot, scanner), seen, found)
    found.table = table(HEAD, [row(*pair) for pair in seen.items()])
    return found


def judge(
    stack: Stack, odd: tuple[Phone, Phone], seen: dict[str, Seen], found: Findings
) -> None:
    """Expect each to have been met as the policy says."""
    bot, scanner = odd
    expected = {"bot": "slow", "scanner": "verify", "farm": "slow", "person": "allow"}
    for name, action in expected.items():
        found.expect(seen[name].action == action, f"{name}: {seen[name]}")
    found.expect(seen["person"].rules == [], f"a person was marked: {seen['person']}")
    limit = told_limit(bot)
    found.expect(limit == "100", f"a slowed user's bucket: {limit}")
    written = scanner.rename("x")
    refused = (written.status, written.json.get("reason"))
    found.expect(refused == (403, "verification_required"), f"a write: {refused}")
    found.expect(scanner.me().status == 200, "a read is refused too")
    code = stack.wechat.code(scanner.openid, "phone")
    token = scanner.data["access_token"]
    bound = scanner.api("POST", "/me/phone", token=token, body={"code": code})
    freed = scanner.rename("x").status
    found.expect((bound.status, freed) == (200, 200), f"after the phone: {freed}")
    found.figures = {
        "slowed bucket": f"400 becomes {limit}",
        "write of who must verify": f"{refused[0]} {refused[1]}, reads go on",
        "after binding a phone": f"the next write {freed}",
    }


def logged_in(stack: Stack) -> Phone:
    """Return a new user with a device of their own."""
    phone = Phone(stack)
    assert phone.login().status == 200
    return phone


def live_as_bot(phone: Phone) -> None:
    """Ask the same every tenth of a second."""
    beat(phone.me)


def live_as_scanner(phone: Phone) -> None:
    """Guess ids of operations at the same pace."""
    token, guesses = phone.data["access_token"], iter(range(10**6))

    def guess() -> None:
        phone.api("GET", f"/operations/op_{next(guesses):026d}", token=token)
        phone.me()

    beat(guess)


def beat(act: Callable[[], object]) -> None:
    """Act at every tick of a clock, whatever the last act took."""
    began = monotonic()
    for number in range(int(AT_WORK_S / TICK_S)):
        act()
        sleep(max(0.0, began + (number + 1) * TICK_S - monotonic()))


def live_as_person(phone: Phone) -> None:
    """Open pages in bursts, pause, look at something else."""
    token, end = phone.data["access_token"], monotonic() + AT_WORK_S
    dice = random.Random(7)  # noqa: S311 -- a life, not a secret
    while monotonic() < end:
        for path in dice.sample(["/me", "/sessions", "/me", "/sessions"], 2):
            phone.api("GET", path, token=token)
            sleep(dice.uniform(0.01, 0.2))
        sleep(dice.expovariate(0.7))


def raise_farm(stack: Stack) -> str:
    """Log six users in from one device; return its id."""
    for _ in range(6):
        openid = stack.wechat.user()["openid"]
        body = {"code": stack.wechat.code(openid), "device": {"id": "farm-phone"}}
        call("POST", f"{stack.url('web')}/api/v1/auth/login", body=body)
    return "farm-phone"


def told_limit(phone: Phone) -> str | None:
    """Return the limit of the own bucket, once the copy of the standing is there."""
    end, limit = monotonic() + 10, phone.me().headers.get("RateLimit-Limit")
    while limit != "100" and monotonic() < end:
        sleep(0.2)
        limit = phone.me().headers.get("RateLimit-Limit")
    return limit


def wait_for(stack: Stack, name: str, began: float, actions: set[str]) -> Seen:
    """Return what is told once an action is among ``actions``, or time is up."""
    seen = look(stack, name, began)
    while seen.action not in actions and seen.after_s < PATIENCE_S:
        sleep(0.5)
        seen = look(stack, name, began)
    return seen


def look(stack: Stack, name: str, began: float) -> Seen:
    """Ask the internal listener about a user or device."""
    token = (stack.var / "secrets" / "admin_token").read_text().strip()
    answer = call("GET", f"{stack.url('ops')}/admin/v1/risk/{name}", token=token)
    data: dict[str, Any] = answer.json["data"] or {"marks": [], "action": "unknown"}
    rules = sorted(mark["rule"] for mark in data["marks"])
    return Seen(rules, data["action"], monotonic() - began)


def row(who: str, seen: Seen) -> list[str]:
    """Return a line of the table."""
    does = {
        "bot": "GET /me each 100 ms",
        "scanner": "guesses ids each 100 ms",
        "farm": "six users on one device",
        "person": "two routes, bursts and pauses",
    }[who]
    after = "" if who == "person" else f"{seen.after_s:.1f}"
    return [who, does, ", ".join(seen.rules) or "none", seen.action, after]


SECTION = Section(
    name="behaviour",
    title="Behaviour before the rules",
    about=(
        "Four lives at once against web, relay, worker and beat, a window being 30 s. "
        "The rules run each half minute; `seen after s` counts from the first request."
    ),
    run=run,
)
