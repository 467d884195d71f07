"""From findings to an action: weights fade, policy decides, people overrule."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.risk_settings import RiskSettings
from models.risk_policy import Weighed, asks_wechat, decide

if TYPE_CHECKING:
    from collections.abc import Callable

    from config.settings import Settings

NOW = 1_700_000_000_000
HOUR = 3_600_000
DAY = 24 * HOUR


def mark(
    score: int,
    age_ms: int = 0,
    *,
    rank: int | None = None,
    rank_at: int | None = None,
) -> Weighed:
    at = NOW - age_ms
    return Weighed(score, at, at + DAY, rank, rank_at)


@pytest.mark.parametrize(
    ("scores", "action"),
    [
        ([], "allow"),
        ([30], "allow"),
        ([40], "slow"),
        ([30, 30], "slow"),
        ([40, 40], "verify"),
        ([30, 30, 30], "verify"),
        ([40, 40, 30, 30, 30], "block"),
    ],
)
def test_weights_add_up_to_an_action(
    scores: list[int], action: str, settings: Settings
) -> None:
    decision = decide([mark(score) for score in scores], settings.risk, NOW)

    assert decision.action == action
    assert decision.score == sum(scores)


def test_a_weight_halves_in_its_half_life(settings: Settings) -> None:
    decision = decide([mark(80, HOUR), mark(40, 2 * HOUR)], settings.risk, NOW)

    assert decision.local == pytest.approx(50)


def test_the_end_is_when_the_weight_has_faded(settings: Settings) -> None:
    decision = decide([mark(80), mark(80)], settings.risk, NOW)

    # 160 blocks until it has faded to 149.5, which is still 150.
    assert (decision.action, decision.until) == ("block", NOW + 352_535)
    just_before = decide([mark(80), mark(80)], settings.risk, NOW + 352_000)
    just_after = decide([mark(80), mark(80)], settings.risk, NOW + 353_000)
    assert (just_before.action, just_after.action) == ("block", "verify")


def test_a_weight_that_is_just_reached_holds_for_a_while(settings: Settings) -> None:
    decision = decide([mark(40, 5)], settings.risk, NOW)

    assert decision.action == "slow"
    assert NOW + 60_000 < (decision.until or 0) < NOW + 70_000


def test_a_mark_that_is_over_weighs_nothing(settings: Settings) -> None:
    old = mark(1000, DAY)

    assert decide([old], settings.risk, NOW).action == "allow"


@pytest.mark.parametrize(
    ("rank", "action"), [(0, "allow"), (1, "slow"), (3, "verify"), (4, "block")]
)
def test_wechat_adds_its_word(rank: int, action: str, settings: Settings) -> None:
    told = mark(30, rank=rank, rank_at=NOW - HOUR)

    decision = decide([told], settings.risk, NOW)

    assert (decision.action, decision.rank) == (action, rank)


def test_what_wechat_said_long_ago_does_not_count(settings: Settings) -> None:
    told = mark(30, rank=4, rank_at=NOW - 7 * HOUR)

    assert decide([told], settings.risk, NOW).action == "allow"


def test_an_action_by_wechats_word_alone_ends_with_it(settings: Settings) -> None:
    told = mark(31, rank=4, rank_at=NOW - HOUR)

    decision = decide([told._replace(score=1)], settings.risk, NOW)

    assert (decision.action, decision.until) == ("verify", NOW + 5 * HOUR)


def test_a_person_overrules_everything(settings: Settings) -> None:
    let_go = mark(0)._replace(override="allow")
    odd = [mark(500), mark(500, rank=4, rank_at=NOW)]

    decision = decide([*odd, let_go], settings.risk, NOW)
    assert (decision.action, decision.until) == ("allow", let_go.ends_at)
    assert decision.override
    later = mark(0, -1000)._replace(override="block")
    assert decide([*odd, let_go, later], settings.risk, NOW).action == "block"


@pytest.mark.parametrize(
    ("marks", "asked"),
    [
        ([mark(29)], False),
        ([mark(30)], True),
        ([mark(79)], True),
        ([mark(80)], False),
        ([mark(30), mark(10, rank=0, rank_at=NOW - HOUR)], False),
        # Asked in vain, for a reason that lasts: no rank, but a time.
        ([mark(30, rank_at=NOW - HOUR)], False),
        ([mark(30, rank=0, rank_at=NOW - 7 * HOUR)], True),
        ([mark(30), mark(0)._replace(override="slow")], False),
    ],
)
def test_wechat_is_asked_in_the_grey_zone_only(
    marks: list[Weighed], *, asked: bool, settings: Settings
) -> None:
    assert asks_wechat(marks, settings.risk, NOW) == asked


def test_without_actions_nothing_but_marks(
    make_settings: Callable[..., Settings],
) -> None:
    policy = make_settings(RISK_ACTIONS="{}").risk

    assert decide([mark(10_000)], policy, NOW).action == "allow"


@given(
    scores=st.lists(st.integers(1, 200), min_size=1, max_size=6),
    ages=st.lists(st.integers(0, 2 * DAY), min_size=6, max_size=6),
    rank=st.none() | st.integers(0, 4),
)
def test_an_action_holds_until_its_end_and_never_hardens_by_itself(
    scores: list[int], ages: list[int], rank: int | None
) -> None:
    policy = RiskSettings.model_validate({})
    marks = [mark(s, a) for s, a in zip(scores, ages, strict=False)]
    marks[0] = marks[0]._replace(rank=rank, rank_at=NOW - ages[-1])
    order = ("allow", "slow", "verify", "block")

    decision = decide(marks, policy, NOW)

    if decision.until is not None:
        assert decision.until > NOW
        after = decide(marks, policy, decision.until + 1)
        assert order.index(after.action) <= order.index(decision.action)
