"""Files other than Python that the house rules compare: compose, README, env sample."""

from __future__ import annotations

import re
import tomllib
from functools import cache
from typing import Any

import yaml

from config.dev.procfile import read_procfile
from tests.architecture.sources import ROOT


@cache
def compose() -> dict[str, Any]:
    """Return docker-compose.yml as data."""
    parsed: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    return parsed


@cache
def procfile() -> dict[str, str]:
    """Return process name -> command line of the Procfile, in its order."""
    return read_procfile(ROOT / "Procfile")


@cache
def pyproject() -> dict[str, Any]:
    """Return pyproject.toml as data."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def command_text(service: dict[str, Any]) -> str:
    """Return a service's command as one line, however it is written."""
    command = service.get("command", "")
    return command if isinstance(command, str) else " ".join(map(str, command))


def queues_in(line: str) -> list[str]:
    """Return the queue names after ``-Q`` or ``--queues`` in a command line."""
    found = re.search(r"(?:-Q|--queues)[ =]([\w,]+)", line)
    return found[1].split(",") if found else []


def env_names(text: str) -> set[str]:
    """Return the variable names of an env file, commented-out samples included."""
    return set(re.findall(r"^#? ?([A-Z][A-Z0-9_]+)=", text, re.MULTILINE))


def blocks(text: str, language: str = "") -> list[str]:
    """Return the fenced code blocks of a Markdown text."""
    return re.findall(
        rf"^```{language}[^\n]*\n(.*?)^```", text, re.MULTILINE | re.DOTALL
    )
