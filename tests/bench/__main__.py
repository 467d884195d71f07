"""`python -m tests.bench`: the whole table in one go, alternating, on this machine.

Options: ``--quick`` (short runs), ``--servers`` (gunicorn and granian with the same
app, slow clients included), ``--write`` (also into docs/bench.md).
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.bench.report import (
    cores_text,
    drain_text,
    machine_text,
    rows_text,
)
from tests.bench.scenes import Scene, measure_drain, measure_front, measure_servers
from tests.servers.process import ServerError

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "bench.md"
INTRO = """# Bench

Written by `make bench` with `--write`; every figure is of one run on one machine, load
generator, simulator, Redis and database included. CPU microseconds a request are
steadier than rates. The ratio is the judged server's CPU against the yardstick's in the
same repetition. Consumers (relay and worker) run during every login row.
"""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the command line asks for."""

    scene: Scene
    servers: bool
    write: bool


def wanted(arguments: list[str]) -> Wanted:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="short runs")
    parser.add_argument("--servers", action="store_true", help="compare WSGI servers")
    parser.add_argument("--write", action="store_true", help="write docs/bench.md")
    parser.add_argument("--rows", default="", help="only rows whose name has this text")
    given = parser.parse_args(arguments)
    scene = Scene(only=given.rows)
    if given.quick:
        scene = Scene(seconds=4, repetitions=1, drain_logins=3000, only=given.rows)
    return Wanted(scene, given.servers, given.write)


def say(line: str) -> None:
    """Print a line at once, so that a long run shows where it is."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def text(asked: Wanted, folder: Path) -> str:
    """Run what is asked and return the report."""
    if asked.servers:
        return rows_text(measure_servers(asked.scene, folder / "servers", say))
    front = measure_front(asked.scene, folder / "front", say)
    drained = measure_drain(asked.scene, folder / "drain", say)
    parts = [
        machine_text(),
        rows_text(front),
        "Enrichment, consumers alone on a full journal:\n\n" + drain_text(drained),
    ]
    logins = [result for result in front if result.row.name.startswith("login, 0 ms")]
    if logins and drained:
        cores = cores_text(logins[0], drained)
        parts.append(f"Cores for 10,000 logins/s:\n\n{cores}")
    return "\n\n".join(parts)


def main(arguments: list[str]) -> int:
    """Run the bench and print its tables."""
    asked = wanted(arguments)
    with tempfile.TemporaryDirectory(prefix="kuaida-bench-") as folder:
        try:
            report = text(asked, Path(folder))
        except ServerError as fault:
            say(str(fault))
            return 1
    say("\n" + report)
    if asked.write:
        DOCUMENT.write_text(f"{INTRO}\n{report}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
