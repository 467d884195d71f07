"""`python -m tests.identity`: run the sections, print them, write the report."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from config.clock import now_ms
from tests.bench.report import machine_text
from tests.identity.section import Findings, Section, placed, rendered
from tests.identity.sections import ALL

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "identity-report.md"
INTRO = """# Identity report

Written by `make identity`; the sections are in `tests/identity/sections`. Each starts
processes of its own as the Procfile does, with WeChat simulated, and tries what must
not work. Other processes of the machine make times longer, never answers better.
"""


def wanted(arguments: list[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.identity")
    parser.add_argument("--only", default="", help="sections whose name has this text")
    parser.add_argument("--no-report", action="store_true", help="print only")
    return parser.parse_args(arguments)


def facts() -> str:
    """Return when and on what the report was made."""
    at = datetime.fromtimestamp(now_ms() / 1000, UTC)
    load = os.getloadavg()[0]
    return f"- {at:%Y-%m-%d %H:%M} UTC; {machine_text()}; load {load:.1f}"


def run(section: Section, folder: Path) -> Findings:
    """Run one section and print it."""
    print(f"{section.name} ...", file=sys.stderr, flush=True)
    folder.mkdir(parents=True)
    findings = section.run(folder)
    print(rendered(section, findings) + "\n", flush=True)
    return findings


def main(arguments: list[str]) -> int:
    """Run the chosen sections; 1 when a promise was broken."""
    asked = wanted(arguments)
    # Ended from outside, it still takes its processes along.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    chosen = [one for one in ALL if asked.only in one.name]
    old = DOCUMENT.read_text() if asked.only and DOCUMENT.exists() else ""
    report, broken = old or f"{INTRO}\n{facts()}\n", 0
    with tempfile.TemporaryDirectory(prefix="kuaida-identity-") as folder:
        for section in chosen:
            findings = run(section, Path(folder, section.name))
            report = placed(report, section, rendered(section, findings))
            broken += len(findings.broken)
    if not asked.no_report:
        DOCUMENT.write_text(report)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
