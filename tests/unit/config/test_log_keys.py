"""Every key our code logs is on the allow-list; a forgotten one would be redacted."""

import ast
from pathlib import Path

from config.redaction import ALLOWED_KEYS

ROOT = Path(__file__).resolve().parents[3]
PACKAGES = ("config", "models", "tasks", "web", "wechat", "workers")
METHODS = {"debug", "info", "warning", "error", "exception", "critical"}
# These are taken out of the event before the redaction.
SPECIAL = {"exc_info"}


def log_keys(path):
    calls = (
        n for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Call)
    )
    for call in calls:
        if isinstance(call.func, ast.Attribute) and call.func.attr in METHODS:
            yield from (word.arg for word in call.keywords if word.arg)


def test_every_logged_key_is_allowed():
    forgotten = [
        f"{path.relative_to(ROOT)}: {key}"
        for package in PACKAGES
        for path in sorted((ROOT / package).rglob("*.py"))
        for key in log_keys(path)
        if key not in ALLOWED_KEYS | SPECIAL
    ]
    assert forgotten == []
