"""`python -m tests.faults`: run the drills, print their table, write the report."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

from tests.faults.drill import HASTE
from tests.faults.drills import ALL
from tests.faults.report import Done, details, document, summary
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
    parser.add_argument("--no-report", action="store_true", help="print only")
    return parser.parse_args(arguments)


def run_all(asked: argparse.Namespace, site: Site) -> list[Done]:
    """Run the chosen drills one after the other."""
    done = []
    for drill in ALL:
        counts = drill.smoke if asked.smoke else drill.full
        if counts is None or asked.only not in drill.name:
            continue
        print(f"{drill.promise} {drill.name} ...", flush=True)
        findings, seconds = site.run(drill, counts, **(HASTE if asked.smoke else {}))
        done.append(Done(drill, findings, seconds))
        print(details(done[-1]))
        if findings.verdict is not None:
            print(f"- {findings.verdict.words()}", flush=True)
    return done


def main(arguments: list[str]) -> int:
    """Run the chosen drills; 1 when a promise was broken."""
    asked = wanted(arguments)
    print(f"seed {asked.seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="kuaida-drill-") as folder:
        site = Site(Path(asked.keep or folder), asked.seed)
        try:
            done = run_all(asked, site)
        finally:
            site.close()
    print("\n" + summary(done))
    if not (asked.smoke or asked.only or asked.no_report):
        DOCUMENT.write_text(document(done, asked.seed))
    return 1 if any(one.findings.broken for one in done) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
