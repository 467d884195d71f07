"""The table of reasons, its page, and how errors become refusals."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from werkzeug.exceptions import BadRequest, ImATeapot, ServiceUnavailable

from models import errors
from models.errors import FieldFault, InvalidInput, KuaidaError
from web.errors import PROBLEMS, Refusal, language_of, refusal_of

PAGE = Path(__file__).parents[3] / "docs" / "errors" / "README.md"
ENTRY = re.compile(r"^- \*\*(\d+) `(\w+)`\*\* \((\w+)\):", re.MULTILINE)


def test_the_page_has_one_entry_for_each_reason() -> None:
    written = {
        reason: (int(code), action)
        for code, reason, action in ENTRY.findall(PAGE.read_text(encoding="utf-8"))
    }
    assert written == {
        reason: (problem.code, problem.action) for reason, problem in PROBLEMS.items()
    }


def test_every_error_of_the_tree_has_a_row() -> None:
    kinds = [
        kind
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, KuaidaError)
    ]
    assert len(kinds) > 10
    for kind in kinds:
        assert kind.reason in PROBLEMS


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (KuaidaError("x"), "internal"),
        (KuaidaError("x", reason="no_such_reason"), "internal"),
        (ValueError("x"), "internal"),
        (BadRequest(), "validation_failed"),
        (ImATeapot(), "validation_failed"),
        (ServiceUnavailable(), "internal"),
    ],
    ids=repr,
)
def test_unexpected_errors_are_told_generically(error: Exception, reason: str) -> None:
    assert refusal_of(error).reason == reason


def test_field_faults_travel() -> None:
    fault = FieldFault("a", "missing", "required")
    refusal = refusal_of(InvalidInput(faults=(fault,)))
    assert refusal == Refusal("validation_failed", None, (fault,))


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("", "zh"),
        ("*", "zh"),
        ("fr-FR", "zh"),
        ("en", "en"),
        ("en-GB,zh;q=0.9", "en"),
        ("zh-TW,en;q=0.9", "zh"),
        ("fr,en;q=0.2,zh;q=0.1", "en"),
        ("en;q=0,zh;q=0.1", "zh"),
        ("en;q=abc", "zh"),
    ],
)
def test_chooses_the_language(header: str, language: str) -> None:
    assert language_of(header) == language
