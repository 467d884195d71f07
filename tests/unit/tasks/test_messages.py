"""Messages that are none of ours end quietly: no store is asked, nothing is raised."""

from __future__ import annotations

from typing import Any

import pytest

from tasks.logins import enrich_logins
from tasks.profile import warm_user_cache
from tasks.schedule import take_due_slots


@pytest.mark.parametrize(
    "args", [(), (1,), (None,), (["ob_1"],), ({"id": "ob_1"},), ("ob_1", "ob_2")]
)
def test_an_outbox_task_takes_one_id(args: tuple[Any, ...]) -> None:
    assert warm_user_cache(*args) == "refused"


@pytest.mark.parametrize("args", [(), ("1-1",), ([1],), (["1-1", "x"],), (["+"],)])
def test_enrichment_takes_stream_ids(args: tuple[Any, ...]) -> None:
    assert enrich_logins(*args) == "refused"


def test_named_arguments_are_refused() -> None:
    assert warm_user_cache(outbox_id="ob_1") == "refused"


def test_a_job_that_is_not_in_the_table_is_not_taken() -> None:
    assert take_due_slots("drop_tables") == "unknown"
