"""Pages under docs: every decision is listed once, every name in them exists."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.architecture.sources import ROOT
from web.app import PUBLIC_ROUTES
from web.ops_app import ADMIN_ROUTES

if TYPE_CHECKING:
    from pathlib import Path

DOCS = ROOT / "docs"
DECISIONS = sorted((DOCS / "decisions").glob("*.md"))
PAGES = sorted([*DOCS.rglob("*.md"), *ROOT.glob("README*.md")])
TASK = re.compile(r"\btasks\.([a-z_]+)\.([a-z_]+)\b")
ROUTE = re.compile(r"/(?:auth|sessions|me|events|operations|admin/v1)\b[a-z0-9/_-]*")


def test_decisions_are_numbered_without_a_gap() -> None:
    numbers = [int(page.name[:4]) for page in DECISIONS]

    assert numbers == list(range(1, len(numbers) + 1))


@pytest.mark.parametrize("page", DECISIONS, ids=lambda page: page.stem)
def test_a_decision_is_headed_by_its_number_and_listed(page: Path) -> None:
    listed = (DOCS / "README.md").read_text()

    assert page.read_text().startswith(f"# {page.name[:4]}: ")
    assert listed.count(f"- [{page.name[:4]}](decisions/{page.name}) ") == 1


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_tasks_a_page_names_exist(page: Path) -> None:
    for module, function in TASK.findall(page.read_text()):
        text = (ROOT / "tasks" / f"{module}.py").read_text()
        assert re.search(rf"^def {function}\(", text, re.MULTILINE), function


def test_both_pages_name_the_same_routes() -> None:
    english, chinese = (
        set(ROUTE.findall((ROOT / name).read_text()))
        for name in ("README.md", "README.zh.md")
    )

    assert english == chinese
    served = {route.path for route in (*PUBLIC_ROUTES, *ADMIN_ROUTES)}
    parts = [re.sub(r"<[^>]*>.*", "", path) for path in served]
    for name in english:
        assert any(name.rstrip("/") in path for path in parts), name
