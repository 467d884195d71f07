"""The alert rules: right by promtool, each tried, each with a way out."""

from __future__ import annotations

import os
import re
import subprocess

import pytest

from config.dev.apt import find_program
from tests.architecture.alert_rules import FOLDER, METRIC, alerts, anchors, table


def promtool(*arguments: str) -> subprocess.CompletedProcess[str]:
    program = find_program("promtool")
    if program is None and os.environ.get("SKIP_EXTERNAL") == "1":
        pytest.skip("no promtool: apt install prometheus")
    assert program is not None, "no promtool: apt install prometheus"
    return subprocess.run(
        [program, *arguments], cwd=FOLDER, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ("check", "rules", "alerts.yml"),
        ("check", "config", "prometheus.yml"),
        ("test", "rules", "alerts_test.yml"),
    ],
    ids=" ".join,
)
def test_prometheus_itself_agrees(arguments: tuple[str, ...]) -> None:
    done = promtool(*arguments)

    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_has_been_seen_to_fire() -> None:
    tried = (FOLDER / "alerts_test.yml").read_text()
    untried = [name for name in alerts() if f'alertname="{name}"' not in tried]

    assert untried == []


@pytest.mark.parametrize("name", sorted(alerts()))
def test_an_alert_says_how_bad_how_long_and_what_to_do(name: str) -> None:
    rule = alerts()[name]
    place, _, anchor = rule["annotations"]["runbook_url"].partition("#")

    assert rule["labels"]["severity"] in {"critical", "warning"}
    assert rule["for"]
    assert rule["annotations"]["summary"]
    assert place == "docs/runbook.md"
    assert anchor in anchors()


def test_the_table_of_faults_names_every_alert_and_no_other() -> None:
    named = {name for row in table() for name in re.findall(r"Kuaida\w+", row[2])}

    assert named == set(alerts())


@pytest.mark.parametrize("row", table(), ids=lambda row: row[0])
def test_a_faults_alerts_look_at_its_metrics(row: list[str]) -> None:
    told = set(METRIC.findall(row[1]))
    for name in re.findall(r"Kuaida\w+", row[2]):
        assert told & set(METRIC.findall(alerts()[name]["expr"])), name
