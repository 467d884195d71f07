"""The behaviour rules on plain figures: machines are found, people are not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from config.risk_rule import RiskRule
from models.behaviour_figures import Behaviour
from models.risk_rules import judge_count, judge_device, judge_user

if TYPE_CHECKING:
    from collections.abc import Callable

    from config.settings import Settings

PERSON = Behaviour(requests=60, gaps=55, mean_gap_s=4, variation=1.3, turns=30)
METRONOME = PERSON._replace(variation=0.02, turns=1)


def rules_of(seen: Behaviour, settings: Settings) -> set[str]:
    return {finding.rule for finding in judge_user(seen, settings.risk)}


@pytest.mark.parametrize(
    ("seen", "rules"),
    [
        (PERSON, set()),
        (METRONOME, {"regular"}),
        # Too few intervals are no rhythm; neither is one that turns as people do.
        (METRONOME._replace(gaps=12), set()),
        (METRONOME._replace(turns=25), set()),
        (METRONOME._replace(turns=59), {"regular"}),
        (PERSON._replace(requests=900), {"fast"}),
        (PERSON._replace(requests=899), set()),
        (PERSON._replace(requests=100, misses=50), {"scan"}),
        # An old link opened often is no scan: most of the answers were found.
        (PERSON._replace(requests=400, misses=50), set()),
        (PERSON._replace(misses=39), set()),
        (PERSON._replace(hops=31), {"hops"}),
        (METRONOME._replace(requests=2000, misses=1999), {"regular", "fast", "scan"}),
    ],
)
def test_what_is_odd_about_a_user(
    seen: Behaviour, rules: set[str], settings: Settings
) -> None:
    assert rules_of(seen, settings) == rules


def test_a_device_is_not_blamed_for_its_users_hops(settings: Settings) -> None:
    seen = METRONOME._replace(hops=500)

    found = judge_device(seen, settings.risk)

    assert {finding.rule for finding in found} == {"regular"}


def test_evidence_holds_the_figures_and_the_limit(settings: Settings) -> None:
    (found,) = judge_user(PERSON._replace(requests=1234.56), settings.risk)

    assert found.evidence == {"requests": 1234.6, "window_s": 300.0, "limit": 900.0}
    assert found.score == 30


@pytest.mark.parametrize(("count", "found"), [(5, False), (6, True), (60, True)])
def test_counts_reach_their_limit(count: int, *, found: bool) -> None:
    told = judge_count("users_per_device", count, RiskRule(6, 40))

    assert bool(told) == found


def test_a_rule_without_a_score_is_off(make_settings: Callable[..., Settings]) -> None:
    off = make_settings(RISK_REGULAR="0.1/0", RISK_FAST="900/0", RISK_SCAN="40/0")

    seen = METRONOME._replace(requests=5000, misses=4000)

    assert rules_of(seen, off) == set()
    assert judge_count("x", 100, RiskRule(6, 0)) == []
