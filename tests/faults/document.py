"""`docs/resilience-report.md`: its three parts, each rewritten by runs of its own."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from tests.faults.report import Run, counted, details, facts, summary

if TYPE_CHECKING:
    from collections.abc import Mapping

INTRO = """# Resilience report

Written by `make drill`; the drills are in `tests/faults`. Each breaks the system on
purpose and compares every acknowledged id with the database and the simulator's log.

- *acked*: ids the load generator was answered or whose commit it saw.
- *unknown*: requests without an answer; each happened once or not at all.
- *hits*: kills or cuts that hit work in flight.
- *longest*: the longest time from a fault to the finish of what it hit.
- *took*: with building up and taking down. Drills run side by side, each with servers
  of its own; those that measure speed run alone after them.

`kill -9` keeps the page cache, so nothing here proves what a power cut does: for Redis
the tail of its file is cut off instead. Packet loss is not simulated, only cuts, stalls
and silence. Other processes of the machine make times longer, never counts better.
"""
SCALE = "## At full scale"
SCALE_INTRO = """
The promises' own counts, where the run above has no time for them; each drill in its
last run: `make drill DRILL_ARGS="--scale"`, with `--only NAME` a single one."""
SOAK = "## P23: soak"
SOAK_INTRO = 'A run of its own: `make drill DRILL_ARGS="--soak 30"`.'


def document(run: Run, before: str) -> str:
    """Return the report after ``run``: what other runs have written stays."""
    rest, _, soak = before.partition(SOAK)
    drills, _, scale = rest.partition(SCALE)
    if run.size == "soak":
        soak = soak_part(run)
    elif run.size == "scale":
        scale = scale_part(run, scale)
    else:
        drills = drills_part(run)
    parts = [drills, scale and SCALE + scale, soak and SOAK + soak]
    return "\n\n".join(part.strip() for part in parts if part) + "\n"


def drills_part(run: Run) -> str:
    """Return what one run of all drills found."""
    told = [details(one) for one in run.done]
    head = f"{facts(run)}\n{counted(run)}"
    return "\n\n".join([INTRO.strip(), head, summary(run.done), *told])


def scale_part(run: Run, before: str) -> str:
    """Return the part of full scale, what this run found in the place of older."""
    sections = sections_of(before)
    for one in run.done:
        title, _, told = details(one).removeprefix("## ").partition("\n")
        alone = replace(run, done=[one], seconds=one.seconds)
        sections[title] = "\n\n".join([facts(alone), summary([one]), told.strip()])
    parts = [f"### {title}\n\n{words}" for title, words in in_order(sections)]
    return "\n\n".join(["", SCALE_INTRO.strip(), *parts])


def sections_of(part: str) -> dict[str, str]:
    """Return the sections of a part by their titles."""
    found = [section.partition("\n") for section in part.split("\n### ")[1:]]
    return {title: words.strip() for title, _, words in found}


def in_order(sections: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return sections by the number of their promise."""
    return sorted(sections.items(), key=lambda one: int(one[0].partition(":")[0][1:]))


def soak_part(run: Run) -> str:
    """Return what a soak found."""
    told = details(run.done[0]).removeprefix(SOAK)
    head = "\n\n".join([SOAK_INTRO, facts(run), summary(run.done)])
    return f"\n\n{head}{told}"
