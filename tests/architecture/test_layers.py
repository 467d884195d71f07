"""Imports go down; the tool that checks it knows every folder there is."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.architecture.documents import pyproject
from tests.architecture.sources import PACKAGES, ROOT

# Folders that hold no importable code of ours, or the tests themselves.
NO_PACKAGES = {"deploy", "docs", "tests"}


def folders_with_python() -> set[str]:
    """Return the top-level folders that hold a Python file."""
    visible = (p for p in ROOT.iterdir() if p.is_dir() and not p.name.startswith("."))
    # var and build results are not ours; a virtual environment holds pyvenv.cfg.
    real = (p for p in visible if p.name != "var" and not (p / "pyvenv.cfg").exists())
    return {p.name for p in real if next(p.rglob("*.py"), None)}


def test_the_layer_tool_knows_every_folder() -> None:
    roots = set(pyproject()["tool"]["importlinter"]["root_packages"])

    assert roots - {"tests"} == folders_with_python() - NO_PACKAGES
    assert roots - {"tests"} == set(PACKAGES)


def test_imports_go_down() -> None:
    tool = str(Path(sys.executable).with_name("lint-imports"))
    done = subprocess.run(
        [tool, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stdout + done.stderr


def test_no_contract_has_an_exception() -> None:
    contracts = pyproject()["tool"]["importlinter"]["contracts"]
    excused = [c["name"] for c in contracts if c.get("ignore_imports")]

    assert len(contracts) >= 8
    assert excused == []
