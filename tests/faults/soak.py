"""P23: half load for many minutes; memory, descriptors and connections stay flat."""

from __future__ import annotations

from typing import TYPE_CHECKING

from config.clock import monotonic, sleep
from tests.bench.report import table
from tests.faults.checker import check
from tests.faults.drill import Drill, Findings
from tests.faults.drills.messages import PROCESSES
from tests.faults.loads.load import Load
from tests.faults.loads.logins import Logins
from tests.faults.loads.messages import Messages
from tests.faults.loads.patches import Patches
from tests.faults.samples import Links, Sample, links, sample, slope_a_minute

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.faults.ground import Ground

EVERY_S = 10
# The first minutes fill caches, pools and the interpreter's own free lists.
WARM_SHARE = 1 / 5
SLOPE_MB, DESCRIPTORS, CONNECTIONS = 1.0, 5, 2
HEAD = (
    "process",
    "MB at start",
    "MB at end",
    "MB/min",
    "MB/min, last third",
    "files +/-",
)


def run(ground: Ground, findings: Findings, counts: Mapping[str, int]) -> None:
    """Apply a mixed load, sample each ten seconds, fit lines."""
    samples: dict[str, list[Sample]] = {name: [] for name in ground.stack.running}
    counted: list[Links] = []
    loads = (Patches(ground), 15), (Logins(ground), 10), (Messages(ground), 5)
    first, second, third = (Load(act, rate=rate) for act, rate in loads)
    until = monotonic() + counts["minutes"] * 60
    with first, second, third:
        while monotonic() < until:
            sleep(EVERY_S)
            counted.append(links(ground))
            for name, one in sample(ground).items():
                samples[name].append(one)
    ground.wait_finished(120)
    findings.judge(check(ground))
    judge_growth(findings, samples)
    judge_connections(findings, counted)
    findings.figures.update(
        minutes=counts["minutes"],
        samples=len(counted),
        requests=sum(len(load.tally.seen) for load in (first, second, third)),
        not_accepted={
            **first.tally.refusals(),
            **second.tally.refusals(),
            **third.tally.refusals(),
        },
    )


def judge_growth(findings: Findings, samples: dict[str, list[Sample]]) -> None:
    """Hold each process to its slope, over all and in the last third."""
    lines = []
    for name, taken in samples.items():
        warm = taken[int(len(taken) * WARM_SHARE) :]
        last = taken[len(taken) * 2 // 3 :]
        slopes = [slope_a_minute([(s.at_s, s.rss_mb) for s in part])
                  for part in (warm, last)]  # fmt: skip
        files = [one.descriptors for one in last]
        spread = max(files) - min(files)
        findings.expect(slopes[0] <= SLOPE_MB, f"{name} grows {slopes[0]:.2f} MB/min")
        findings.expect(slopes[1] <= SLOPE_MB, f"{name} still grows at the end")
        findings.expect(spread <= 2 * DESCRIPTORS, f"{name}: files +/-{spread}")
        lines.append(
            [name, f"{warm[0].rss_mb:.0f}", f"{warm[-1].rss_mb:.0f}"]
            + [f"{slope:+.2f}" for slope in slopes]
            + [str(spread)]
        )
    findings.table = table(HEAD, lines)


def judge_connections(findings: Findings, counted: list[Links]) -> None:
    """Hold the stores' connections of the last third to a narrow band."""
    last = counted[len(counted) * 2 // 3 :]
    for store in ("sql", "redis"):
        values = [getattr(one, store) for one in last]
        spread = max(values) - min(values)
        findings.expect(spread <= 2 * CONNECTIONS, f"{store}: connections +/-{spread}")
        findings.figures[f"{store}_connections"] = f"{min(values)} to {max(values)}"


DRILL = Drill(
    name="soak",
    promise="P23",
    does="profile changes, logins and messages at about half of what the machine does",
    rule="memory grows <= 1 MB a minute in each process, and so in the last third; "
    "files +/-5 and connections +/-2 in the last third; nothing lost or doubled",
    run=run,
    full={"minutes": 30},
    processes=(*PROCESSES, "bulk", "beat"),
    alone=True,
)
