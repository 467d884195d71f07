"""What follows from findings: weights that fade, an action by policy, and until when.

Pure: `tasks/risk.py` decides with it, the internal listener explains with it.
"""

from __future__ import annotations

from math import log2
from typing import TYPE_CHECKING, NamedTuple

from config.clock import MS_PER_S
from config.risk_settings import MEASURES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from config.risk_settings import RiskSettings
    from models.standings import Action

# Weights are compared as whole numbers: one that is just reached would have faded below
# it a millisecond later.
ROUNDED = 0.5


class Weighed(NamedTuple):
    """What of a mark counts here; times are epoch ms.

    ``override`` is an action that a person chose: then nothing is weighed.
    """

    score: int
    at: int
    ends_at: int
    rank: int | None = None
    rank_at: int | None = None
    override: Action | None = None


class Decision(NamedTuple):
    """The action, until when it holds (epoch ms), and what it was decided by.

    ``local`` is the weight of our own findings, ``rank`` WeChat's opinion if it is
    fresh, ``score`` both together.
    """

    action: Action = "allow"
    until: int | None = None
    score: float = 0.0
    local: float = 0.0
    rank: int | None = None
    override: bool = False


def decide(marks: Iterable[Weighed], policy: RiskSettings, now: int) -> Decision:
    """Return what the live ones of ``marks`` amount to at ``now``."""
    live = [mark for mark in marks if mark.ends_at > now]
    chosen = [mark for mark in live if mark.override is not None]
    if chosen:
        last = max(chosen, key=lambda mark: mark.at)
        return Decision(last.override or "allow", last.ends_at, override=True)
    local = sum(weight(mark, policy, now) for mark in live)
    rank, rank_ends = _fresh_rank(live, policy, now)
    added = 0 if rank is None else policy.rank_scores[rank]
    action = action_for(local + added, policy)
    if action == "allow":
        return Decision(action, None, local + added, local, rank)
    begins = policy.actions[action]
    ends = [max(mark.ends_at for mark in live)]
    if added:
        ends.append(rank_ends)
    if begins > added:
        ends.append(_fades_at(local, begins - added - ROUNDED, policy, now))
    return Decision(action, min(ends), local + added, local, rank)


def action_for(score: float, policy: RiskSettings) -> Action:
    """Return the hardest measure that ``score`` reaches."""
    whole = round(score)
    reached = [m for m in MEASURES if whole >= policy.actions.get(m, whole + 1)]
    return reached[-1] if reached else "allow"


def weight(mark: Weighed, policy: RiskSettings, now: int) -> float:
    """Return what a live mark still weighs."""
    halves = max(0, now - mark.at) / (policy.half_life_s * MS_PER_S)
    return float(mark.score * 0.5**halves)


def asks_wechat(marks: Iterable[Weighed], policy: RiskSettings, now: int) -> bool:
    """Whether WeChat's opinion would help: in the grey zone, and not asked lately."""
    marks = list(marks)
    decision = decide(marks, policy, now)
    asked = any(
        mark.rank_at is not None and now - mark.rank_at < policy.rank_s * MS_PER_S
        for mark in marks
    )
    grey = policy.ask_from <= round(decision.local) < policy.ask_below
    return grey and not asked and not decision.override


def _fresh_rank(
    live: Iterable[Weighed], policy: RiskSettings, now: int
) -> tuple[int | None, int]:
    """Return WeChat's last rank and when it is too old, as far as it is believed."""
    known = [
        (mark.rank_at, mark.rank)
        for mark in live
        if mark.rank is not None and mark.rank_at is not None
    ]
    if not known:
        return None, now
    at, rank = max(known)
    ends = at + policy.rank_s * MS_PER_S
    return (rank, ends) if ends > now else (None, now)


def _fades_at(local: float, needed: float, policy: RiskSettings, now: int) -> int:
    """Return when ``local`` has faded below ``needed``."""
    halves = log2(local / needed)
    # At least a moment: an action that has just been reached is one.
    return now + max(1, int(halves * policy.half_life_s * MS_PER_S))
