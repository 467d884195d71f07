"""Each reason a client can meet is explained: one entry in docs/errors per code."""

from __future__ import annotations

import ast
import re

import pytest

from tests.architecture.sources import ROOT, ours
from web.errors import PROBLEMS

ACTIONS = set("refresh relogin wait retry bind_phone upgrade resync none".split())
ERROR_CLASSES = re.compile(r"Error|Input|Invalid|Unauth|Forbid|NotFound|Conflict|Limit")


def document() -> str:
    """Return docs/errors as one text, a file or a folder of files."""
    single = ROOT / "docs" / "errors.md"
    paths = [single] if single.exists() else sorted(ROOT.glob("docs/errors/*.md"))
    return "\n".join(path.read_text() for path in paths)


def reasons_raised() -> set[str]:
    """Return every literal ``reason=`` of the code and each error class's default."""
    given = {
        keyword.value.value
        for source in ours()
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Call) and ERROR_CLASSES.search(ast.unparse(node.func))
        for keyword in node.keywords
        if keyword.arg == "reason" and isinstance(keyword.value, ast.Constant)
    }
    return {reason for reason in given if isinstance(reason, str)}


@pytest.mark.parametrize("reason", sorted(PROBLEMS))
def test_reason_is_documented_with_its_code(reason: str) -> None:
    text = document()

    assert re.search(rf"\b{reason}\b", text), f"docs/errors lacks {reason}"
    assert str(PROBLEMS[reason].code) in text


@pytest.mark.parametrize("reason", sorted(PROBLEMS))
def test_code_and_status_agree(reason: str) -> None:
    problem = PROBLEMS[reason]

    assert problem.code == 401 or str(problem.code)[:3] == str(problem.status)
    assert problem.code == 401 or len(str(problem.code)) == 5
    assert (problem.status == 401) == (problem.code == 401)
    assert problem.action in ACTIONS


def test_codes_are_told_apart() -> None:
    codes = [p.code for p in PROBLEMS.values() if p.code != 401]

    assert sorted(codes) == sorted(set(codes))


def test_documented_reasons_exist() -> None:
    heads = re.findall(r"^#+ .*?`([a-z_]+)`", document(), re.MULTILINE)

    assert [reason for reason in heads if reason not in PROBLEMS] == []
