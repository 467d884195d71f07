"""`python -m tests.faults`: run the drills, print their table, write the report."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
from collections.abc import Generator, Mapping
from contextlib import closing
from pathlib import Path

from config.clock import monotonic
from tests.faults import soak
from tests.faults.document import document
from tests.faults.drill import HASTE, Drill
from tests.faults.drills import ALL
from tests.faults.lanes import run_lanes
from tests.faults.report import Done, Run, details, summary
from tests.faults.site import Site

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "resilience-report.md"
# Most of a drill is waiting; more neighbours than these and two cores are what is slow.
LANES = 3
SIZES = {
    "smoke": "the short set that runs with every change too: three minutes",
    "full": "all of it: twenty minutes (the default)",
    "scale": "only what full has no time for: the promises' own counts",
}


def wanted(arguments: list[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    size = parser.add_mutually_exclusive_group()
    for name, words in SIZES.items():
        size.add_argument(f"--{name}", dest="size", const=name, action="store_const",
                          help=words)  # fmt: skip
    size.add_argument("--soak", type=int, default=0, help="only minutes of half load")
    parser.add_argument("--seed", default=os.urandom(4).hex(), help="repeats a run")
    parser.add_argument("--only", default="", help="drills with this in their name; "
                        "then the full size is printed only, not reported")  # fmt: skip
    parser.add_argument("--lanes", type=int, default=LANES, help="drills at once")
    parser.add_argument("--keep", default="", help="folder to keep logs and data in")
    parser.add_argument("--no-report", action="store_true", help="print only")
    asked = parser.parse_args(arguments)
    asked.size = "soak" if asked.soak else asked.size or "full"
    return asked


def chosen(asked: argparse.Namespace) -> dict[str, tuple[Drill, Mapping[str, int]]]:
    """Return the drills to run with their counts, by name in the order of starting."""
    if asked.soak:
        return {soak.DRILL.name: (soak.DRILL, {"minutes": asked.soak})}
    sizes = [(one, one.counts(asked.size)) for one in ALL]
    return {one.name: (one, counts) for one, counts in sizes
            if counts is not None and asked.only in one.name}  # fmt: skip


def run_all(asked: argparse.Namespace, site: Site) -> Generator[Done]:
    """Run the chosen drills side by side, then one by one those that stand alone."""
    drills = chosen(asked)

    def act(drill: Drill) -> Done:
        counts, haste = drills[drill.name][1], HASTE if asked.size == "smoke" else {}
        return Done(drill, *site.run(drill, counts, **haste))

    beside = [drill for drill, _ in drills.values() if not drill.alone]
    alone = [drill for drill, _ in drills.values() if drill.alone]
    yield from run_lanes(beside, act, lanes=asked.lanes)
    yield from run_lanes(alone, act, lanes=1)


def number(one: Done) -> int:
    """Return the number of the promise, by which the report is sorted."""
    return int(one.drill.promise.removeprefix("P"))


def is_reported(asked: argparse.Namespace) -> bool:
    """Whether the report has a place for the run; half a full run it has none for."""
    is_whole = asked.size != "smoke" and not asked.only
    return (is_whole or asked.size == "scale") and not asked.no_report


def write_report(run: Run) -> None:
    """Write this run's part of the report."""
    before = DOCUMENT.read_text() if DOCUMENT.exists() else ""
    DOCUMENT.write_text(document(run, before))


def main(arguments: list[str]) -> int:
    """Run the chosen drills; 1 when a promise was broken."""
    asked, start, done = wanted(arguments), monotonic(), []
    # Ended from outside, it still takes its processes along.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    print(f"seed {asked.seed}", flush=True)
    with (
        tempfile.TemporaryDirectory(prefix="kuaida-drill-") as folder,
        Site(Path(asked.keep or folder), asked.seed) as site,
        closing(run_all(asked, site)) as found,
    ):
        for one in found:
            print(details(one), end="\n\n", flush=True)
            done.append(one)
    done.sort(key=number)
    run = Run(done, asked.seed, monotonic() - start, asked.size)
    print(summary(run.done), f"seed {run.seed}, {run.took}", sep="\n\n")
    if is_reported(asked):
        write_report(run)
    return 1 if any(one.findings.broken for one in done) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
