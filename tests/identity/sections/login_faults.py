"""Every way a login can go wrong, with its answer and what it cost WeChat."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from config.clock import monotonic, sleep
from config.wechat_settings import DEMO_APP_ID
from tests.bench.report import table
from tests.identity.section import Findings, Section
from tests.servers.http import call
from tests.servers.phone import Phone
from tests.servers.stack import Stack, standing
from tests.servers.wechat import WeChatControl

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.servers.http import Answer

PATH = "/sns/jscode2session"
HEAD = ("fault", "answer", "reason, action", "calls of WeChat", "the same code again")
# A failure is forgotten after half a second; then a repetition asks anew.
FORGOTTEN_S = 0.6
# Nobody waits longer than a default deadline and a little.
LATE_S = 7
EXPECTED_5XX = (502, 503, 504)


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong: at WeChat (``how``), or in the request itself (``body``)."""

    name: str
    status: int
    reason: str
    how: dict[str, Any] = field(default_factory=dict)
    body: Callable[[Phone], dict[str, Any]] | None = None
    timeout_ms: int = 3000


def code_of(phone: Phone, **more: Any) -> dict[str, Any]:
    """Return the body of a good login."""
    return {"code": phone.code(), "device": {"id": phone.openid}, **more}


def used(phone: Phone) -> dict[str, Any]:
    """Return a login whose code somebody else's backend has used."""
    body = code_of(phone)
    secret = (phone.stack.var / "secrets" / "wechat_secret").read_text().strip()
    asked = {
        "appid": DEMO_APP_ID,
        "secret": secret,
        "js_code": body["code"],
        "grant_type": "authorization_code",
    }
    call("GET", f"{phone.stack.wechat.base}{PATH}?{urlencode(asked)}")
    return body


def phone_code(phone: Phone) -> dict[str, Any]:
    """Return a login with what the phone button gives."""
    return code_of(phone) | {"code": phone.stack.wechat.code(phone.openid, "phone")}


def error(errcode: int) -> dict[str, Any]:
    """Return the fault of one errcode."""
    return {"mode": "error", "errcode": errcode}


def faults() -> Iterator[Fault]:
    """Yield them all."""
    yield Fault("none", 200, "")
    yield Fault("body without a code", 400, "validation_failed", body=lambda _: {})
    yield Fault("code of other letters", 400, "validation_failed",
                body=lambda p: code_of(p) | {"code": "a b/c?d"})  # fmt: skip
    yield Fault("code of 129 letters", 400, "validation_failed",
                body=lambda p: code_of(p) | {"code": "a" * 129})  # fmt: skip
    yield Fault("a field nobody knows", 400, "unknown_field",
                body=lambda p: code_of(p, openid="o1"))  # fmt: skip
    yield Fault("an app that is not served", 400, "validation_failed",
                body=lambda p: code_of(p, app_id="wxother"))  # fmt: skip
    yield Fault("guest_token of nobody", 401, "token_invalid",
                body=lambda p: code_of(p, guest_token="a.b.c"))  # fmt: skip
    yield Fault("code that WeChat never gave", 400, "login_code_invalid",
                body=lambda p: code_of(p) | {"code": "never-given"})  # fmt: skip
    yield Fault("code used elsewhere (40163)", 400, "login_code_invalid", body=used)
    yield Fault("code of a phone button", 400, "login_code_invalid", body=phone_code)
    for code, status, reason in (
        (40029, 400, "login_code_invalid"),
        (40226, 403, "high_risk_user"),
        (45011, 429, "rate_limited"),
        (-1, 502, "wechat_failed"),
        (40013, 502, "wechat_failed"),
        (40125, 502, "wechat_failed"),
        (40164, 502, "wechat_failed"),
        (50002, 502, "wechat_failed"),
    ):
        yield Fault(f"errcode {code}", status, reason, error(code))
    for mode, status, reason in (
        ("http500", 502, "wechat_failed"),
        ("half_json", 502, "wechat_failed"),
        ("reset", 502, "wechat_failed"),
        ("accept_then_reset", 502, "wechat_failed"),
        ("stall", 504, "wechat_timeout"),
        ("accept_then_stall", 504, "wechat_timeout"),
    ):
        yield Fault(mode, status, reason, {"mode": mode})
    slow = {"mode": "delay", "delay_ms": 900}
    yield Fault("900 ms late", 200, "", slow)
    yield Fault("900 ms late, caller waits 300", 504, "wechat_timeout", slow,
                timeout_ms=300)  # fmt: skip


def run(folder: Path) -> Findings:
    """Try each fault once, then its code once more with WeChat well again."""
    found, lines = Findings(), []
    with standing(Stack(folder, **QUIET), "wechat", "web", "relay") as stack:
        for fault in faults():
            answer, calls, again, took = tried(stack, fault)
            told = (answer.status, reason_of(answer))
            lines.append(line_of(fault, answer, calls, again))
            found.expect(told == (fault.status, fault.reason), f"{fault.name}: {told}")
            found.expect(took < LATE_S, f"{fault.name}: {took:.1f} s")
            fair = again.status < 500 or again.status in EXPECTED_5XX
            found.expect(fair, f"{fault.name}, again: {again.status}")
        found.figures["faults tried"] = len(lines)
    found.table = table(HEAD, lines)
    return found


def tried(stack: Stack, fault: Fault) -> tuple[Answer, int, Answer, float]:
    """Return answer, calls of WeChat, the repetition's answer, and the seconds."""
    phone, wechat = Phone(stack), WeChatControl(stack.wechat.base)
    body = (fault.body or code_of)(phone)
    if fault.how:
        wechat.fault(PATH, **fault.how)
    before, began = wechat.calls(PATH), monotonic()
    answer = login(phone, body, fault.timeout_ms)
    took = monotonic() - began
    calls = wechat.calls(PATH) - before
    wechat.heal()
    sleep(FORGOTTEN_S)
    return answer, calls, login(phone, body, 5000), took


def login(phone: Phone, body: dict[str, Any], timeout_ms: int) -> Answer:
    """Send one login."""
    head = {"X-Timeout-Ms": str(timeout_ms)}
    return phone.api("POST", "/auth/login", body=body, headers=head)


def reason_of(answer: Answer) -> str:
    """Return the reason of a refusal, nothing for a success."""
    return str(answer.json.get("reason", ""))


def line_of(fault: Fault, answer: Answer, calls: int, again: Answer) -> list[str]:
    """Return the cells of one fault."""
    action = answer.json.get("action", "")
    return [
        fault.name,
        str(answer.status),
        ", ".join(filter(None, (reason_of(answer), action))) or "tokens",
        str(calls),
        f"{again.status} {reason_of(again) or 'tokens'}",
    ]


# The breaker and the lock-out have sections and tests of their own.
QUIET = {"LOGIN_FAILURES": "1000/10", "WECHAT_BREAKER_FAILURES": "1000"}

SECTION = Section(
    name="login-faults",
    title="Login faults",
    about=(
        "Each fault is tried with a phone of its own, the breaker and the lock-out set "
        "wide; then WeChat is well again and the same body is sent once more, half a "
        "second later."
    ),
    run=run,
)
