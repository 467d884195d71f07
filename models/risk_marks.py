"""What the behaviour rules found about users and devices, with the evidence.

`models/risk_policy.py` weighs the marks; the action that follows for a user is in its
standing (`models/standings.py`), that for a device on the watch list in Redis.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import msgspec
from sqlalchemy import Index, Integer, String, select, update
from sqlalchemy.orm import Mapped, mapped_column

from models.base import (
    LONG_TEXT,
    TABLE_OPTIONS,
    AppId,
    Base,
    EpochMs,
    Id,
    delete_by_id,
    new_id,
)
from models.risk_overrides import OVERRIDE, Override, read_override
from models.risk_policy import Weighed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.orm import Session

    from models.behaviour_figures import Finding, Subject, SubjectKind


class RiskMark(Base):
    """One rule's finding; ``state`` active or cleared, void after ``ends_at``.

    ``wechat_rank`` (0-4) is what WeChat said when it was asked, at ``rank_at``; a time
    without a rank is a question that WeChat does not answer for this user.
    """

    __tablename__ = "risk_marks"
    __table_args__ = (
        Index(None, "subject_id", "subject_kind", "at"),
        Index(None, "ends_at"),
        TABLE_OPTIONS,
    )

    id: Mapped[Id] = mapped_column(primary_key=True)
    subject_kind: Mapped[str] = mapped_column(String(8))
    subject_id: Mapped[str] = mapped_column(String(64))
    app_id: Mapped[AppId]
    rule: Mapped[str] = mapped_column(String(40))
    score: Mapped[int] = mapped_column(Integer)
    evidence: Mapped[str] = mapped_column(LONG_TEXT)
    state: Mapped[str] = mapped_column(String(8))
    at: Mapped[EpochMs]
    ends_at: Mapped[EpochMs]
    cleared_by: Mapped[str | None] = mapped_column(String(64))
    wechat_rank: Mapped[int | None] = mapped_column(Integer)
    rank_at: Mapped[EpochMs | None]


def list_live(
    session: Session, kind: SubjectKind, ids: Sequence[str], now: int
) -> dict[str, list[RiskMark]]:
    """Return the marks that count, by subject; no entry for who has none."""
    found: dict[str, list[RiskMark]] = defaultdict(list)
    rows = session.scalars(
        select(RiskMark).where(
            RiskMark.subject_kind == kind,
            RiskMark.subject_id.in_(ids),
            RiskMark.state == "active",
            RiskMark.ends_at > now,
        )
    )
    for row in rows:
        found[row.subject_id].append(row)
    return dict(found)


def list_marks(session: Session, subject: Subject, limit: int) -> Sequence[RiskMark]:
    """Return every mark of a subject, over and cleared ones too, newest first."""
    return session.scalars(
        select(RiskMark)
        .where(RiskMark.subject_kind == subject.kind, RiskMark.subject_id == subject.id)
        .order_by(RiskMark.at.desc(), RiskMark.id.desc())
        .limit(limit)
    ).all()


def list_marked_devices(session: Session, now: int, limit: int) -> list[str]:
    """Return devices with live marks, the longest lasting first."""
    rows = session.scalars(
        select(RiskMark.subject_id)
        .where(
            RiskMark.subject_kind == "device",
            RiskMark.state == "active",
            RiskMark.ends_at > now,
        )
        .order_by(RiskMark.ends_at.desc())
        .limit(limit)
    )
    return list(dict.fromkeys(rows))


def write_findings(
    session: Session,
    subject: Subject,
    app_id: str,
    findings: Sequence[Finding],
    times: tuple[int, int],
) -> list[RiskMark]:
    """Renew the subject's live marks of these rules, or add them; return all live.

    ``times`` are now and the end of a mark that is found now.
    """
    now, ends_at = times
    marks = list_live(session, subject.kind, [subject.id], now).get(subject.id, [])
    by_rule = {mark.rule: mark for mark in marks}
    for finding in findings:
        mark = by_rule.get(finding.rule)
        if mark is None:
            mark = _new_mark(subject, app_id, finding.rule)
            session.add(mark)
            marks.append(mark)
        mark.score, mark.at, mark.ends_at = finding.score, now, ends_at
        mark.evidence = msgspec.json.encode(finding.evidence).decode()
    return marks


def write_override(
    session: Session,
    subject: Subject,
    app_id: str,
    override: Override,
    times: tuple[int, int],
) -> RiskMark:
    """Put a person's choice over the rules; it replaces an earlier choice."""
    now, ends_at = times
    marks = list_live(session, subject.kind, [subject.id], now).get(subject.id, [])
    chosen = [mark for mark in marks if mark.rule == OVERRIDE]
    mark = chosen[0] if chosen else _new_mark(subject, app_id, OVERRIDE)
    mark.at, mark.ends_at = now, ends_at
    mark.evidence = msgspec.json.encode(override).decode()
    session.add(mark)
    return mark


def keep_rank(session: Session, user_id: str, rank: int | None, now: int) -> None:
    """Write WeChat's answer to the user's newest live mark, None for a refusal."""
    marks = list_live(session, "user", [user_id], now).get(user_id, [])
    for mark in sorted(marks, key=lambda mark: (mark.at, mark.id))[-1:]:
        mark.wechat_rank, mark.rank_at = rank, now


def clear_marks(session: Session, subject: Subject, by: str, now: int) -> int:
    """Have the live marks of a subject count no more; return how many."""
    marks = list_live(session, subject.kind, [subject.id], now).get(subject.id, [])
    ids = [mark.id for mark in marks]
    session.execute(
        update(RiskMark)
        .where(RiskMark.id.in_(ids))
        .values(state="cleared", cleared_by=by)
    )
    return len(ids)


def weighed(mark: RiskMark) -> Weighed:
    """Return what of a mark is weighed."""
    chosen = read_override(mark.evidence) if mark.rule == OVERRIDE else None
    action = None if chosen is None else chosen.action
    return Weighed(
        mark.score, mark.at, mark.ends_at, mark.wechat_rank, mark.rank_at, action
    )


def prune(session: Session, *, before: int, limit: int) -> int:
    """Delete up to ``limit`` marks that ended before ``before`` (epoch ms)."""
    ids = session.scalars(
        select(RiskMark.id).where(RiskMark.ends_at < before).limit(limit)
    ).all()
    return delete_by_id(session, RiskMark.id, ids)


def _new_mark(subject: Subject, app_id: str, rule: str) -> RiskMark:
    return RiskMark(
        id=new_id("rm"),
        subject_kind=subject.kind,
        subject_id=subject.id,
        app_id=app_id,
        rule=rule,
        score=0,
        state="active",
    )
