"""What is seen of a user's or device's behaviour, and what a rule finds in it.

`models/stores/behaviour.py` reads the figures, `models/risk_rules.py` judges them.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

Evidence = dict[str, float]
# An address has limits only: no figures and no marks.
SubjectKind = Literal["user", "device", "ip"]


class Subject(NamedTuple):
    """Whose behaviour it is: a user's, a device's or an address's, by its id."""

    kind: SubjectKind
    id: str


class Behaviour(NamedTuple):
    """What one user or device did in the window; every figure fades with time.

    ``variation`` is that of the intervals between requests, as a share of their mean.
    ``hops`` are requests from another device (of a device: by another user) than the
    one before, ``turns`` those for another route.
    """

    requests: float = 0.0
    gaps: float = 0.0
    mean_gap_s: float = 0.0
    variation: float = 0.0
    misses: float = 0.0
    hops: float = 0.0
    turns: float = 0.0


class Finding(NamedTuple):
    """A rule that applies: what it weighs, and the figures that made it apply."""

    rule: str
    score: int
    evidence: Evidence
