"""`python -m tests.faults`: run the drills, print their table, write the report."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from tests.faults import soak
from tests.faults.drill import HASTE, Drill
from tests.faults.drills import ALL
from tests.faults.report import Done, details, document, replaced, summary
from tests.faults.site import Site

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "resilience-report.md"


def wanted(arguments: list[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--smoke", action="store_true", help="the short set, in haste")
    size.add_argument("--full", action="store_true", help="all of it (the default)")
    parser.add_argument("--seed", default=os.urandom(4).hex(), help="repeats a run")
    parser.add_argument("--only", default="", help="drills whose name has this text")
    parser.add_argument("--keep", default="", help="folder to keep logs and data in")
    parser.add_argument("--soak", type=int, default=0, help="minutes of half load")
    parser.add_argument("--no-report", action="store_true", help="print only")
    return parser.parse_args(arguments)


def chosen(asked: argparse.Namespace) -> list[tuple[Drill, Mapping[str, int]]]:
    """Return the drills to run with their counts; a soak runs alone."""
    if asked.soak:
        return [(soak.DRILL, {"minutes": asked.soak})]
    sizes = [(one, one.smoke if asked.smoke else one.full) for one in ALL]
    return [(one, counts) for one, counts in sizes
            if counts is not None and asked.only in one.name]  # fmt: skip


def run_all(asked: argparse.Namespace, site: Site) -> list[Done]:
    """Run the chosen drills one after the other."""
    done = []
    for drill, counts in chosen(asked):
        print(f"{drill.promise} {drill.name} ...", flush=True)
        findings, seconds = site.run(drill, counts, **(HASTE if asked.smoke else {}))
        done.append(Done(drill, findings, seconds))
        print(details(done[-1]))
        if findings.verdict is not None:
            print(f"- {findings.verdict.words()}", flush=True)
    return done


def write_report(asked: argparse.Namespace, done: list[Done]) -> None:
    """Write the report; what was run alone takes its place in the one there is."""
    alone = asked.soak or asked.only
    if not alone:
        DOCUMENT.write_text(document(done, asked.seed))
    elif DOCUMENT.exists():
        for one in done:
            DOCUMENT.write_text(replaced(DOCUMENT.read_text(), one))


def main(arguments: list[str]) -> int:
    """Run the chosen drills; 1 when a promise was broken."""
    asked = wanted(arguments)
    # Ended from outside, it still takes its processes along.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    print(f"seed {asked.seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="kuaida-drill-") as folder:
        site = Site(Path(asked.keep or folder), asked.seed)
        try:
            done = run_all(asked, site)
        finally:
            site.close()
    print("\n" + summary(done))
    if not (asked.smoke or asked.no_report):
        write_report(asked, done)
    return 1 if any(one.findings.broken for one in done) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
