"""What the internal listener tells of a user's or device's risk, and of the limits."""

from __future__ import annotations

from typing import Literal

import msgspec

from models.standings import Action
from models.stores.limit_levels import BucketLevel, LockOut, Refused


class MarkView(msgspec.Struct):
    """One finding; ``weighs`` is what is left of its score now."""

    id: str
    rule: str
    score: int
    weighs: float
    evidence: msgspec.Raw
    state: str
    at: int
    ends_at: int
    cleared_by: str | None
    wechat_rank: int | None
    rank_at: int | None


class BehaviourFigures(msgspec.Struct):
    """What is seen of the requests in the window; all of it fades."""

    requests: float
    gaps: float
    mean_gap_s: float
    variation: float
    not_found: float
    device_changes: float
    turns: float


class RiskView(msgspec.Struct):
    """How we stand to a user or a device, and why; of an address, what limits it.

    ``action`` is what admission does now, ``decided`` what the marks amount to; the
    two differ until the next run of the rules. ``linked`` are the devices of a user,
    the users of a device. ``away`` names a store whose part is missing.
    """

    id: str
    kind: Literal["user", "device", "ip"]
    app_id: str
    action: Action
    action_until: int | None
    banned: bool
    watched: bool
    decided: Action
    decided_until: int | None
    override: bool
    score: float
    local_score: float
    wechat_rank: int | None
    why: list[str]
    marks: list[MarkView]
    behaviour: BehaviourFigures | None
    buckets: list[BucketLevel]
    lock_outs: list[LockOut]
    linked: list[str]
    away: list[str]


class RiskChanged(msgspec.Struct):
    """What an act left behind; ``cleared`` marks count no more."""

    id: str
    kind: Literal["user", "device", "ip"]
    action: Action
    action_until: int | None
    cleared: int


class LimitRule(msgspec.Struct):
    """One bucket as it is in force."""

    name: str
    burst: int
    refill_per_s: float


class LimitsView(msgspec.Struct):
    """The limits in force, and who meets them.

    In a dry run ``refused`` counts those who would have been.
    """

    enabled: bool
    dry_run: bool
    rules: list[LimitRule]
    login_failures: int
    lock_s: int
    refused: list[Refused]
    away: list[str]
