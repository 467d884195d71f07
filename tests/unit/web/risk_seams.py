"""Refusals and decisions of the behaviour rules in memory: one user is slowed down."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec

from models.errors import NotFound
from models.stores.limit_levels import BucketLevel, Refused
from web.services.risk_shapes import (
    BehaviourFigures,
    LimitRule,
    LimitsView,
    MarkView,
    RiskChanged,
    RiskView,
)

if TYPE_CHECKING:
    from models.idempotency import Once
    from models.stores.refusals import Asked
    from web.services.risk import Choice


@dataclass
class MemoryRisk:
    """Knows one user, who is slowed down."""

    asked: list[tuple[object, ...]] = field(default_factory=list)

    def explain(self, name: str) -> RiskView:
        if name != "u_one":
            raise NotFound
        return risk_view()

    def clear(
        self, name: str, reason: str, _once: Once | None = None, /
    ) -> RiskChanged:
        self.asked.append((name, reason))
        return RiskChanged(name, "user", "allow", None, 2)

    def override(
        self, name: str, choice: Choice, _once: Once | None = None, /
    ) -> RiskChanged:
        self.asked.append((name, choice))
        return RiskChanged(name, "user", choice.action, 9, 0)

    def limits(self, most: int) -> LimitsView:
        self.asked.append((most,))
        rule = LimitRule("read.ip", 5, 1.0)
        refused = [Refused("read.ip", "10.0.0.1", 3)]
        return LimitsView(True, False, [rule], 5, 300, refused, [])  # noqa: FBT003


@dataclass
class MemoryRefusals:
    """Keeps who was refused, where and why; unless Redis is away."""

    error: Exception | None = None
    kept: list[tuple[str, str, str, str]] = field(default_factory=list)

    def note(self, asked: Asked, reason: str, _whose: str) -> None:
        if self.error is not None:
            raise self.error
        self.kept.append((asked.request_id, asked.user_id, asked.route, reason))


def risk_view() -> RiskView:
    """Return the view of the user that `MemoryRisk` knows."""
    mark = MarkView(
        "rm_1", "fast", 30, 20.5, msgspec.Raw(b'{"requests": 1000}'),
        "active", 1, 2, None, 2, 1,
    )  # fmt: skip
    return RiskView(
        id="u_one",
        kind="user",
        app_id="wx",
        action="slow",
        action_until=2,
        banned=False,
        watched=False,
        decided="slow",
        decided_until=2,
        override=False,
        score=40.0,
        local_score=40.0,
        wechat_rank=2,
        why=["fast scored 30"],
        marks=[mark],
        behaviour=BehaviourFigures(1, 1, 1, 1, 1, 1, 1),
        buckets=[BucketLevel("read.user", 300, 50, 12.5)],
        lock_outs=[],
        linked=["phone"],
        away=[],
    )
