"""What is odd about behaviour: pure rules over figures, each with its evidence.

The figures come from `models/stores/behaviour.py` and `models/login_figures.py`;
`models/risk_policy.py` says what follows from the findings.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from models.behaviour_figures import Behaviour, Evidence, Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from config.risk_rule import RiskRule
    from config.risk_settings import RiskSettings

# A machine's path is as regular as its rhythm: always the same route, or always the
# next one. People turn now and then.
MONOTONE_SHARE = 0.1
# Who follows old links meets `not_found` now and then; who guesses, mostly.
MISSED_SHARE = 1 / 3


def judge_user(seen: Behaviour, rules: RiskSettings) -> list[Finding]:
    """Return what is odd about a user's requests."""
    return [*_rhythm(seen, rules), *_scan(seen, rules.scan), *_hops(seen, rules.hops)]


def judge_device(seen: Behaviour, rules: RiskSettings) -> list[Finding]:
    """Return what is odd about a device's requests, whoever made them."""
    return [*_rhythm(seen, rules), *_scan(seen, rules.scan)]


def judge_count(name: str, count: int, rule: RiskRule) -> list[Finding]:
    """Return the finding of a plain count: users of a device, devices of a user."""
    return list(_reached(name, count, rule, {"count": count}))


def _rhythm(seen: Behaviour, rules: RiskSettings) -> Iterator[Finding]:
    rule = rules.regular
    regular = seen.gaps >= rules.busy and seen.variation < rule.limit
    turned = seen.turns / max(1.0, seen.requests)
    monotone = min(turned, 1 - turned) < MONOTONE_SHARE
    if rule.score and regular and monotone:
        evidence = {
            "variation": round(seen.variation, 3),
            "mean_gap_s": round(seen.mean_gap_s, 3),
            "gaps": round(seen.gaps, 1),
            "turned_share": round(turned, 2),
        }
        yield Finding("regular", rule.score, evidence)
    figures = {"requests": round(seen.requests, 1), "window_s": float(rules.window_s)}
    yield from _reached("fast", seen.requests, rules.fast, figures)


def _scan(seen: Behaviour, rule: RiskRule) -> Iterator[Finding]:
    if seen.misses >= seen.requests * MISSED_SHARE:
        figures = {
            "not_found": round(seen.misses, 1),
            "requests": round(seen.requests, 1),
        }
        yield from _reached("scan", seen.misses, rule, figures)


def _hops(seen: Behaviour, rule: RiskRule) -> Iterator[Finding]:
    figures = {"changes": round(seen.hops, 1), "requests": round(seen.requests, 1)}
    yield from _reached("hops", seen.hops, rule, figures)


def _reached(
    name: str, figure: float, rule: RiskRule, evidence: Evidence
) -> Iterator[Finding]:
    if rule.score and figure >= rule.limit:
        yield Finding(name, rule.score, {**evidence, "limit": rule.limit})
