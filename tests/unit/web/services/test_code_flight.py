"""An exchange outlasts its caller, and who was late is named."""

from __future__ import annotations

import threading
from contextlib import nullcontext

import pytest

from config.clock import Deadline
from models.errors import KuaidaError
from web.services.code_flight import Course, Courses, outlast

PATIENCE_S = 60.0


@pytest.mark.parametrize(
    ("at_wechat", "reason"), [(True, "wechat_timeout"), (False, "unavailable")]
)
def test_whoever_is_late_is_named(*, at_wechat: bool, reason: str) -> None:
    course, go, landed = Course(), threading.Event(), threading.Event()
    flies = threading.Event()

    class Late(Deadline):
        """A caller whose time is up as soon as the flight has begun."""

        def with_reserve(self, _seconds: float, _share: float) -> Deadline:
            assert flies.wait(PATIENCE_S)
            return Deadline.after_ms(0)

    def fly(until: Deadline) -> None:
        assert until.remaining_s() > PATIENCE_S / 2
        with course.at_wechat() if at_wechat else nullcontext():
            flies.set()
            go.wait(PATIENCE_S)
        landed.set()

    with pytest.raises(KuaidaError) as told:
        outlast(fly, Late.after_ms(PATIENCE_S * 500), PATIENCE_S, course)

    assert told.value.reason == reason
    go.set()
    assert landed.wait(PATIENCE_S)


def test_a_patient_caller_flies_in_its_own_thread() -> None:
    here = threading.current_thread()
    flown = outlast(
        lambda _: threading.current_thread(),
        Deadline.after_ms(PATIENCE_S * 2000),
        PATIENCE_S,
        Course(),
    )

    assert flown is here


def test_callers_with_one_code_share_a_course_while_any_waits() -> None:
    courses = Courses()
    first = courses.of("code-1")

    assert courses.of("code-1") is first
    assert courses.of("code-2") is not first
    del first
    assert len(courses._flown) == 0
