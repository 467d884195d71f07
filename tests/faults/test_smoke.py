"""The short set of drills, run with every change: `make drill DRILL_ARGS="--smoke"`.

The seed is in a failure's text and at the end of the run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.faults.drill import HASTE, Drill
from tests.faults.drills import ALL

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.faults.site import Site


@pytest.mark.parametrize(
    "drill",
    [pytest.param(drill, id=drill.name) for drill in ALL if drill.smoke is not None],
)
def test_the_promise_is_kept(
    site: Site, drill: Drill, record_property: Callable[[str, object], None]
) -> None:
    record_property("seed", site.seed)
    assert drill.smoke is not None
    findings, _ = site.run(drill, drill.smoke, **HASTE)

    told = f"seed {site.seed}: {findings.figures}"
    if findings.verdict is not None:
        told = f"{told}; {findings.verdict.words()}"
    assert findings.broken == [], told
