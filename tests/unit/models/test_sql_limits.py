"""What a statement says of its own time limit, in the words of each server."""

from __future__ import annotations

import pytest

from models.sql_limits import is_limited, with_limit


@pytest.mark.parametrize(
    ("seconds", "limit"), [(0.3, "0.300"), (1.23456, "1.235"), (0.0001, "0.001")]
)
def test_mariadb_limits_any_statement_and_never_by_zero(
    seconds: float, limit: str
) -> None:
    prefix = f"SET STATEMENT max_statement_time={limit} FOR "

    assert with_limit("UPDATE t", seconds, maria=True) == prefix + "UPDATE t"


def test_mysql_limits_a_select_by_a_hint_and_a_write_not_at_all() -> None:
    assert with_limit("SELECT a\nFROM t", 0.3, maria=False) == (
        "SELECT /*+ MAX_EXECUTION_TIME(300) */ a\nFROM t"
    )
    assert with_limit("SELECT a", 0.0001, maria=False).startswith(
        "SELECT /*+ MAX_EXECUTION_TIME(1) */"
    )
    assert with_limit("DELETE FROM t", 0.3, maria=False) == "DELETE FROM t"


@pytest.mark.parametrize(
    "statement",
    ["ROLLBACK TO SAVEPOINT s", "RELEASE SAVEPOINT s", "SAVEPOINT s", "BEGIN", "SET x"],
)
def test_what_must_always_run_has_no_limit(statement: str) -> None:
    assert not is_limited(statement)


@pytest.mark.parametrize(
    "statement",
    ["SELECT 1", "WITH n AS (SELECT 1) SELECT 1", "(SELECT 1) UNION", "UPDATE"],
)
def test_what_may_take_long_has_one(statement: str) -> None:
    assert is_limited(statement)
