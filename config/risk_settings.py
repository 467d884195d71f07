"""Settings of the behaviour rules: what is odd, what it weighs, what follows.

`models/risk_rules.py` applies the rules, `models/risk_policy.py` the weights; the
figures come from admission (`models/stores/behaviour.py`) and from the login history.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from config.risk_rule import RiskRule, parse_actions, parse_risk_rule
from config.setting_group import SettingGroup, split_list

Measure = Literal["slow", "verify", "block"]
# From the mildest to the hardest.
MEASURES: tuple[Measure, ...] = ("slow", "verify", "block")
DEFAULT_ACTIONS: dict[Measure, int] = {"slow": 40, "verify": 80, "block": 150}
HIGHEST_RANK = 4


Rule = Annotated[RiskRule, BeforeValidator(parse_risk_rule)]


class RiskSettings(SettingGroup):
    """Which behaviour is odd, and what becomes of it."""

    enabled: bool = Field(
        default=True,
        alias="RISK_RULES",
        description="Whether behaviour is counted and judged; false costs nothing at "
        "all, and standing actions then end by themselves.",
    )
    window_s: int = Field(
        300,
        alias="RISK_WINDOW_S",
        ge=10,
        le=3600,
        description="Seconds of behaviour that count: every figure fades by a factor "
        "of e in each such time. Five minutes hold a visit of a person.",
    )
    busy: int = Field(
        30,
        alias="RISK_BUSY",
        ge=5,
        description="Requests in the window from which anybody is looked at: fewer "
        "are no pattern, and cost no look.",
    )
    waiting_most: int = Field(
        5000,
        alias="RISK_WAITING_MOST",
        ge=10,
        description="Busy users and devices kept for the next look, about 100 bytes "
        "each; the oldest go first.",
    )
    looks: int = Field(
        500,
        alias="RISK_LOOKS",
        ge=1,
        le=5000,
        description="Users and devices judged in one run, each half minute.",
    )
    regular: Rule = Field(
        RiskRule(0.1, 30),
        alias="RISK_REGULAR",
        description="<variation>/<score>: intervals that vary less than this share of "
        "their mean are a machine's; people come near 1.",
    )
    fast: Rule = Field(
        RiskRule(900, 30),
        alias="RISK_FAST",
        description="<requests>/<score>: so many in the window, three a second for "
        "five minutes, are no thumb's work.",
    )
    scan: Rule = Field(
        RiskRule(40, 40),
        alias="RISK_SCAN",
        description="<answers>/<score>: so many `not_found` in the window, a third of "
        "all answers at least: somebody guesses ids.",
    )
    hops: Rule = Field(
        RiskRule(30, 30),
        alias="RISK_HOPS",
        description="<changes>/<score>: one user's requests in the window that came "
        "from another device than the one before.",
    )
    users_per_device: Rule = Field(
        RiskRule(20, 60),
        alias="RISK_USERS_PER_DEVICE",
        description="<users>/<score>: so many users of one device are no family and no "
        "tester's phone.",
    )
    devices_per_user: Rule = Field(
        RiskRule(10, 30),
        alias="RISK_DEVICES_PER_USER",
        description="<devices>/<score>: so many devices of one user are not in one "
        "pair of hands.",
    )
    watched_device: Rule = Field(
        RiskRule(1, 30),
        alias="RISK_WATCHED_DEVICE",
        description="<logins>/<score>: logins from a device on the watch list; enough "
        "to ask WeChat of the user, not enough to act.",
    )
    device_days: int = Field(
        7,
        alias="RISK_DEVICE_DAYS",
        ge=1,
        le=180,
        description="Days for which a use of a device counts in the two rules above.",
    )
    half_life_s: int = Field(
        3600,
        alias="RISK_HALF_LIFE_S",
        ge=60,
        description="Seconds in which a finding that does not recur halves its weight.",
    )
    mark_s: int = Field(
        86_400,
        alias="RISK_MARK_S",
        ge=60,
        description="Seconds after which a finding weighs nothing any more.",
    )
    history_days: int = Field(
        30,
        alias="RISK_HISTORY_DAYS",
        ge=1,
        description="Days that a mark stays readable after its end, to explain what "
        "was done.",
    )
    actions: Annotated[dict[Measure, int], BeforeValidator(parse_actions)] = Field(
        default_factory=lambda: dict(DEFAULT_ACTIONS),
        alias="RISK_ACTIONS",
        description='JSON {"slow": 40, "verify": 80, "block": 150}: the weight at '
        "which each begins; {} only marks. One rule alone does nothing or slows down; "
        "to block takes all of them, or WeChat's word.",
    )
    slow_share: float = Field(
        0.25,
        alias="RISK_SLOW_SHARE",
        gt=0,
        le=1,
        description="Part of burst and refill of their own bucket that is left to "
        "users who are slowed down.",
    )
    watched_share: float = Field(
        0.5,
        alias="RISK_WATCHED_SHARE",
        gt=0,
        le=1,
        description="Part of the bucket `login.device` left to a device on the watch "
        "list.",
    )
    ask_from: int = Field(
        30,
        alias="RISK_ASK_FROM",
        ge=1,
        description="Weight from which WeChat is asked; below it our own word will do.",
    )
    ask_below: int = Field(
        80,
        alias="RISK_ASK_BELOW",
        ge=1,
        description="Weight from which WeChat need not be asked any more.",
    )
    rank_scores: Annotated[tuple[int, ...], BeforeValidator(split_list)] = Field(
        (0, 10, 20, 50, 120),
        alias="RISK_RANK_SCORES",
        description="What WeChat's ranks 0 to 4 add, comma separated: 1 and 2 advise a "
        "light check, 3 a second check, 4 to block.",
    )
    rank_s: int = Field(
        21_600,
        alias="RISK_RANK_S",
        ge=60,
        description="Seconds for which WeChat's answer is believed and kept.",
    )
    rank_calls: int = Field(
        20,
        alias="RISK_RANK_CALLS",
        ge=0,
        le=200,
        description="Questions to WeChat in one run at most; 0 never asks.",
    )
    rank_call_s: float = Field(
        2.0,
        alias="RISK_RANK_CALL_S",
        gt=0,
        le=10,
        description="Seconds for one of them; a run ends well within a task's limit.",
    )

    @field_validator("rank_scores")
    @classmethod
    def _one_for_each_rank(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if len(value) != HIGHEST_RANK + 1 or min(value) < 0:
            message = "needs five numbers, none below 0"
            raise ValueError(message)
        return value

    @model_validator(mode="after")
    def _in_order(self) -> RiskSettings:
        begins = [self.actions[name] for name in MEASURES if name in self.actions]
        if begins != sorted(begins) or min(begins, default=1) < 1:
            message = "RISK_ACTIONS must rise from slow over verify to block, above 0"
            raise ValueError(message)
        if self.ask_from >= self.ask_below:
            message = "RISK_ASK_FROM must be below RISK_ASK_BELOW"
            raise ValueError(message)
        return self
