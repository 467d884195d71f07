"""Connections fit into what the system lets a process open."""

from __future__ import annotations

import resource
from typing import TYPE_CHECKING

import pytest

from config.open_files import OWN_FILES, fitting, lift_limit

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def _limit() -> Iterator[None]:
    """Give the limit back that was there."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def lower_soft(files: int) -> int:
    """Lower the soft limit and return the hard one, at most a large number."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, hard))
    return 1_000_000 if hard == resource.RLIM_INFINITY else hard


def test_fewer_connections_fit_under_a_low_limit() -> None:
    lower_soft(1024)

    assert fitting(8000) == 1024 - OWN_FILES
    assert fitting(100) == 100


def test_the_limit_is_lifted_as_far_as_wanted_and_allowed() -> None:
    hard = lower_soft(1024)
    lift_limit(1500)
    assert fitting(1500) == min(1500, hard - OWN_FILES)

    lift_limit(10**9)
    assert fitting(10**9) <= hard


def test_a_higher_limit_is_left_alone() -> None:
    lower_soft(2000)
    lift_limit(100)

    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == 2000
