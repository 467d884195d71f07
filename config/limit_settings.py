"""Settings of admission: token buckets and lock-outs.

A bucket is named ``<class>.<dimension>``; `models/stores/admission` enforces them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Annotated

from pydantic import BeforeValidator, Field

from config.setting_group import SettingGroup

CLASSES = ("login", "read", "write", "push")
DIMENSIONS = ("ip", "user", "device", "app")
MAX_BURST = 1_000_000
MAX_REFILL = 1_000_000.0


@dataclass(frozen=True, slots=True)
class Rule:
    """One token bucket: how many at once, and how many come back each second."""

    burst: int
    refill_per_s: float

    def __str__(self) -> str:
        """Return the text that `parse_rule` reads."""
        return f"{self.burst}/{self.refill_per_s:.15g}"


@dataclass(frozen=True, slots=True)
class Failures:
    """Lock-out: ``count`` failures shut the door for ``lock_s`` seconds."""

    count: int
    lock_s: int

    def __str__(self) -> str:
        """Return the text that `parse_failures` reads."""
        return f"{self.count}/{self.lock_s}"


# Chinese carriers put thousands of phones behind one address (carrier NAT), so
# every ip bucket is wide and only stops floods; the narrow buckets count what
# one person can do: a device logs in once per start, a user taps.
DEFAULT_RULES = {
    "login.ip": Rule(120, 20),
    "login.device": Rule(60, 1),
    "read.ip": Rule(1200, 300),
    "read.user": Rule(300, 50),
    "write.ip": Rule(600, 100),
    "write.user": Rule(120, 20),
    # WeChat pushes from few servers and repeats what is refused.
    "push.ip": Rule(2000, 500),
}


def parse_rule(text: object) -> Rule:
    """Read ``"<burst>/<refill per second>"``; raises ValueError with the rule."""
    burst, slash, refill = str(text).partition("/")
    try:
        rule = Rule(int(burst), float(refill))
    except ValueError:
        rule = Rule(0, 0)
    # The upper bound also refuses inf and nan.
    fair = 1 <= rule.burst <= MAX_BURST and 0 < rule.refill_per_s <= MAX_REFILL
    if not (slash and fair):
        message = 'each limit is "<burst>/<refill per second>", both above 0'
        raise ValueError(message)
    return rule


def parse_rules(value: object) -> object:
    """Merge RATE_LIMITS (JSON, or ``off`` for none) over the defaults."""
    if not isinstance(value, str):
        return value
    if value.strip().lower() == "off":
        return {}
    try:
        given = json.loads(value)
    except ValueError:
        given = None
    if not isinstance(given, dict):
        message = 'must be "off" or JSON like {"login.ip": "120/20"}'
        raise ValueError(message)  # noqa: TRY004 (pydantic collects ValueError only)
    return DEFAULT_RULES | {_known(name): parse_rule(given[name]) for name in given}


def _known(name: str) -> str:
    kind, _, dimension = name.partition(".")
    if kind not in CLASSES or dimension not in DIMENSIONS:
        message = (
            f"knows no such limit: classes {', '.join(CLASSES)}; "
            f"dimensions {', '.join(DIMENSIONS)}"
        )
        raise ValueError(message)
    return name


def parse_failures(value: object) -> object:
    """Read ``"<count>/<seconds>"``; raises ValueError with the rule."""
    if not isinstance(value, str):
        return value
    count, _, lock_s = value.partition("/")
    if not (count.isdecimal() and lock_s.isdecimal() and int(count) and int(lock_s)):
        message = 'must be "<failures>/<seconds locked>", both above 0'
        raise ValueError(message)
    return Failures(int(count), int(lock_s))


class LimitSettings(SettingGroup):
    """Who may knock how often."""

    rules: Annotated[dict[str, Rule], BeforeValidator(parse_rules)] = Field(
        default_factory=lambda: dict(DEFAULT_RULES),
        alias="RATE_LIMITS",
        description='JSON {"<class>.<dimension>": "<burst>/<refill per second>"} over '
        "the defaults; off switches limits and lock-outs off.",
    )
    login_failures: Annotated[Failures, BeforeValidator(parse_failures)] = Field(
        Failures(5, 300),
        alias="LOGIN_FAILURES",
        description="<failures>/<seconds>: refused logins that lock IP and device out "
        "for so long; they fade evenly within that time, and success forgives none.",
    )
    dry_run: bool = Field(
        default=False,
        alias="RATE_LIMITS_DRY_RUN",
        description="Count and report whom limits and lock-outs would refuse, and "
        "refuse nobody: for trying new numbers on real traffic.",
    )
    refusals_kept: int = Field(
        10_000,
        alias="REFUSALS_KEPT",
        ge=0,
        le=1_000_000,
        description="Refusals kept one by one for the timeline of a request, each of "
        "about 200 bytes in Redis; one bucket adds 20 a minute at most. 0 keeps none.",
    )

    @property
    def enabled(self) -> bool:
        """Whether limits and lock-outs are on."""
        return bool(self.rules)
