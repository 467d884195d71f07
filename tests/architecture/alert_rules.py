"""The alert rules and the runbook's table of faults, as data for the tests."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import yaml

from tests.architecture.sources import ROOT

FOLDER = ROOT / "deploy" / "prometheus"
RUNBOOK = (ROOT / "docs" / "runbook.md").read_text()
# A window of time is no name: [5m].
METRIC = re.compile(r"\b(kuaida_\w+|up)\b")


@cache
def alerts() -> dict[str, dict[str, Any]]:
    """Return every rule by its name."""
    parsed = yaml.safe_load((FOLDER / "alerts.yml").read_text())
    rules = [rule for group in parsed["groups"] for rule in group["rules"]]
    return {rule["alert"]: rule for rule in rules}


def anchors() -> set[str]:
    """Return what a link into the runbook may point to."""
    titles = re.findall(r"^## (.+)$", RUNBOOK, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


def table() -> list[list[str]]:
    """Return the runbook's rows of fault, metrics, alerts."""
    start = RUNBOOK.index("| fault | metric | alert |")
    rows = RUNBOOK[start : RUNBOOK.index("\n\n", start)].splitlines()[2:]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]
