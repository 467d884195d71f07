"""A pytest plugin for `make test`: fast tiers first, each tier's figures at the end.

With its counts a tier has the seconds it took and what its tests recorded, such as the
seed that repeats the drills.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import PurePath

import pytest

ORDER = ("unit", "architecture", "integration", "e2e", "faults")
OUTCOMES = ("passed", "failed", "error", "skipped", "xfailed")


def tier_of(nodeid: str) -> str:
    """Return the folder below tests/ that a test lives in."""
    parts = PurePath(nodeid.partition("::")[0]).parts
    return parts[1] if len(parts) > 1 else "other"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run what fails fastest first; the order inside a tier stays."""

    def place(item: pytest.Item) -> int:
        tier = tier_of(item.nodeid)
        return ORDER.index(tier) if tier in ORDER else len(ORDER)

    items.sort(key=place)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print one line a tier above pytest's own closing line."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    recorded: dict[str, set[str]] = defaultdict(set)
    for outcome in OUTCOMES:
        for report in terminalreporter.getreports(outcome):
            tier = tier_of(report.nodeid)
            counts[tier][outcome] += 1
            recorded[tier] |= {
                f"{name} {told}" for name, told in report.user_properties
            }
    seconds = seconds_of(terminalreporter)
    terminalreporter.section("tiers")
    for tier in sorted(counts, key=lambda name: (*ORDER, name).index(name)):
        words = [f"{counts[tier][o]} {o}" for o in OUTCOMES if counts[tier][o]]
        words += [f"{seconds[tier]:.0f} s", *sorted(recorded[tier])]
        terminalreporter.write_line(f"{tier:14} {', '.join(words)}")


def seconds_of(terminalreporter: pytest.TerminalReporter) -> dict[str, float]:
    """Add up what the tests of each tier took, building up and taking down too."""
    seconds: dict[str, float] = defaultdict(float)
    for reports in terminalreporter.stats.values():
        for report in reports:
            if isinstance(report, pytest.TestReport):
                seconds[tier_of(report.nodeid)] += report.duration
    return seconds
