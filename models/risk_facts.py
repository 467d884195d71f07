"""Everything SQL knows of a user's or device's risk, for whoever asks why."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from models.base import database_now
from models.behaviour_figures import Subject
from models.login_figures import find_apps_of_devices
from models.login_places import list_linked, list_places
from models.risk_marks import list_live, list_marks, weighed
from models.risk_policy import Decision, decide
from models.standings import NOBODY_SPECIAL, UserStanding, find_user_standing
from models.users import find_app_id

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.orm import Session

    from config.risk_settings import RiskSettings
    from models.risk_marks import RiskMark

MOST_MARKS = 100
MOST_LINKED = 100
# Where the subject has logged in from lately: the lock-outs that may be its.
MOST_PLACES = 20


class RiskFacts(NamedTuple):
    """What is written down; ``decision`` is what the live marks amount to.

    ``linked`` are the devices of a user or the users of a device, ``places`` the pairs
    of address and device it logged in from.
    """

    subject: Subject
    app_id: str
    now: int
    standing: UserStanding
    marks: Sequence[RiskMark]
    decision: Decision
    linked: Sequence[str]
    places: Sequence[tuple[str, str]]

    def counts(self, mark: RiskMark) -> bool:
        """Whether a mark still weighs."""
        return mark.state == "active" and mark.ends_at > self.now


def find_subject(session: Session, name: str) -> tuple[Subject, str] | None:
    """Return whose id this is and the app; a user before a device of the same name."""
    app_id = find_app_id(session, name)
    if app_id is not None:
        return Subject("user", name), app_id
    app_id = find_apps_of_devices(session, [name]).get(name)
    return None if app_id is None else (Subject("device", name), app_id)


def read_facts(session: Session, name: str, policy: RiskSettings) -> RiskFacts | None:
    """Return what is known under the id, None for an id nobody logged in with."""
    found = find_subject(session, name)
    if found is None:
        return None
    subject, app_id = found
    standing = NOBODY_SPECIAL
    if subject.kind == "user":
        standing = find_user_standing(session, subject.id)
    return RiskFacts(
        subject,
        app_id,
        database_now(session),
        standing,
        list_marks(session, subject, MOST_MARKS),
        decide_on(session, subject, policy),
        list_linked(session, subject, MOST_LINKED),
        list_places(session, subject, MOST_PLACES),
    )


def limited_facts(session: Session, subject: Subject, app_id: str) -> RiskFacts:
    """Return the facts of whom SQL does not know: Redis alone has met them."""
    now = database_now(session)
    return RiskFacts(subject, app_id, now, NOBODY_SPECIAL, [], Decision(), [], [])


def decide_on(session: Session, subject: Subject, policy: RiskSettings) -> Decision:
    """Return what the subject's live marks amount to now."""
    now = database_now(session)
    marks = list_live(session, subject.kind, [subject.id], now).get(subject.id, [])
    return decide([weighed(mark) for mark in marks], policy, now)
