"""The README tells the truth in both tongues: its tree, its commands, its links."""

from __future__ import annotations

import re

import pytest

from tests.architecture.documents import blocks
from tests.architecture.sources import ROOT

ENGLISH = "README.md"
CHINESE = next(
    (n for n in ("README.zh.md", "README.zh-CN.md") if (ROOT / n).exists()),
    "README.zh.md",
)
BOTH = [ENGLISH, CHINESE]
TREE_LINE = re.compile(r"^(?:[├└│─ ]*)([\w.-]+(?:/[\w.-]*)*/?)(?=\s|$)")


def read(name: str) -> str:
    """Return a page of the root."""
    return (ROOT / name).read_text()


def commands(name: str) -> list[str]:
    """Return the shell commands of a page in their order, comments taken off."""
    lines = "\n".join(blocks(read(name), "(?:sh|bash|console|shell)")).splitlines()
    bare = (re.sub(r"\s+#.*$", "", line).removeprefix("$ ").strip() for line in lines)
    return [line for line in bare if line and not line.startswith("#")]


def tree_names(name: str) -> list[str]:
    """Return the top-level folder names of the tree block of a page."""
    trees = [b for b in blocks(read(name)) if "models/" in b and "workers/" in b]
    assert trees, f"{name} has no tree"
    lines = [line for line in trees[0].splitlines() if line and line[0] not in " │"]
    return [found[1] for line in lines if (found := TREE_LINE.match(line))]


@pytest.mark.parametrize("name", BOTH)
def test_page_is_short(name: str) -> None:
    assert len(read(name).splitlines()) <= 150


def test_both_pages_give_the_same_commands() -> None:
    assert commands(ENGLISH) != []
    assert commands(CHINESE) == commands(ENGLISH)


@pytest.mark.parametrize("name", BOTH)
def test_tree_is_true(name: str) -> None:
    listed = {entry.rstrip("/") for entry in tree_names(name)}
    missing = [entry for entry in listed if not (ROOT / entry).exists()]
    folders = {
        path.name
        for path in ROOT.iterdir()
        if path.is_dir() and path.name[0] != "." and next(path.rglob("*.py"), None)
    }

    assert missing == []
    assert folders - {"var"} - {p.parent.name for p in ROOT.glob("*/pyvenv.cfg")} <= {
        entry.split("/")[0] for entry in listed
    }


@pytest.mark.parametrize("name", BOTH)
def test_make_targets_exist(name: str) -> None:
    makefile = read("Makefile")
    asked = set(re.findall(r"\bmake ([a-z][\w-]*)", "\n".join(commands(name))))
    made = set(re.findall(r"^([a-z][\w-]*):", makefile, re.MULTILINE))

    assert asked
    assert asked <= made


@pytest.mark.parametrize("name", BOTH)
def test_links_lead_somewhere(name: str) -> None:
    targets = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", read(name))
    local = [t for t in targets if "://" not in t]

    assert [t for t in local if not (ROOT / t).exists()] == []
