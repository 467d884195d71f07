"""Puts together what SQL and Redis know of a user's or device's risk."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from config.limit_settings import CLASSES
from models.errors import RedisUnavailable
from models.risk_marks import weighed
from models.risk_policy import weight
from web.services.risk_shapes import BehaviourFigures, MarkView, RiskView

if TYPE_CHECKING:
    from config.risk_settings import RiskSettings
    from models.behaviour_figures import Behaviour
    from models.risk_facts import RiskFacts
    from models.risk_marks import RiskMark
    from models.stores.container import Stores


def explain(facts: RiskFacts, stores: Stores, policy: RiskSettings) -> RiskView:
    """Return the view; without Redis the parts that only Redis knows are empty."""
    standing, decision = facts.standing, facts.decision
    view = RiskView(
        id=facts.subject.id,
        kind=facts.subject.kind,
        app_id=facts.app_id,
        action=standing.action_at(facts.now),
        action_until=_until(facts),
        banned=standing.banned,
        watched=False,
        decided=decision.action,
        decided_until=decision.until,
        override=decision.override,
        score=round(decision.score, 1),
        local_score=round(decision.local, 1),
        wechat_rank=decision.rank,
        why=_why(facts),
        marks=[_mark(mark, facts, policy) for mark in facts.marks],
        behaviour=None,
        buckets=[],
        lock_outs=[],
        linked=list(facts.linked),
        away=[],
    )
    try:
        _add_from_redis(view, facts, stores, policy)
    except RedisUnavailable:
        view.away.append("redis")
    return view


def _add_from_redis(
    view: RiskView, facts: RiskFacts, stores: Stores, policy: RiskSettings
) -> None:
    (seen,) = stores.behaviour.find([facts.subject])
    view.behaviour = _figures(seen)
    if facts.subject.kind == "device":
        left_ms = stores.behaviour.watched_ms(facts.subject.id)
        view.watched = left_ms > 0
        view.action = "slow" if view.watched else "allow"
        if view.watched:
            view.action_until = facts.now + left_ms
    levels = stores.limit_levels
    view.buckets = levels.list_levels(facts.subject, _shares(view, policy))
    failing = levels.list_failing(facts.subject.id)
    view.lock_outs = levels.list_lock_outs(
        list(dict.fromkeys([*facts.places, *failing]))
    )


def _until(facts: RiskFacts) -> int | None:
    """Return when the action ends; a choice to allow is not in the standing."""
    action, decision = facts.standing.action_at(facts.now), facts.decision
    if action == "allow":
        return decision.until if decision.action == "allow" else None
    return facts.standing.action_until


def _shares(view: RiskView, policy: RiskSettings) -> dict[str, float]:
    """Return what admission leaves of which bucket."""
    if view.watched:
        return {"login.device": policy.watched_share}
    if view.kind == "user" and view.action == "slow":
        return {f"{limit_class}.user": policy.slow_share for limit_class in CLASSES}
    return {}


def _mark(mark: RiskMark, facts: RiskFacts, policy: RiskSettings) -> MarkView:
    counts = facts.counts(mark)
    weighs = weight(weighed(mark), policy, facts.now) if counts else 0.0
    return MarkView(
        id=mark.id,
        rule=mark.rule,
        score=mark.score,
        weighs=round(weighs, 1),
        evidence=msgspec.Raw(mark.evidence.encode()),
        state="over" if mark.state == "active" and not counts else mark.state,
        at=mark.at,
        ends_at=mark.ends_at,
        cleared_by=mark.cleared_by,
        wechat_rank=mark.wechat_rank,
        rank_at=mark.rank_at,
    )


def _why(facts: RiskFacts) -> list[str]:
    """Return the decision in words."""
    if facts.decision.override:
        return ["an administrator's choice"]
    live = [mark for mark in facts.marks if facts.counts(mark) and mark.score]
    words = [f"{mark.rule} scored {mark.score}" for mark in live]
    if facts.decision.rank is not None:
        words.append(f"WeChat's rank {facts.decision.rank}")
    return words


def _figures(seen: Behaviour) -> BehaviourFigures:
    return BehaviourFigures(
        requests=round(seen.requests, 1),
        gaps=round(seen.gaps, 1),
        mean_gap_s=round(seen.mean_gap_s, 3),
        variation=round(seen.variation, 3),
        not_found=round(seen.misses, 1),
        device_changes=round(seen.hops, 1),
        turns=round(seen.turns, 1),
    )
