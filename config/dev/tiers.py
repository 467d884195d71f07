"""A pytest plugin for `make test`: fast tiers first, counts per tier at the end."""

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
    for outcome in OUTCOMES:
        for report in terminalreporter.getreports(outcome):
            counts[tier_of(report.nodeid)][outcome] += 1
    terminalreporter.section("tiers")
    for tier in sorted(counts, key=lambda name: (*ORDER, name).index(name)):
        words = [f"{counts[tier][o]} {o}" for o in OUTCOMES if counts[tier][o]]
        terminalreporter.write_line(f"{tier:14} {', '.join(words)}")
