"""Each Lua script states its contract at the head: keys, arguments, answer."""

from __future__ import annotations

import re

import pytest

from tests.architecture.sources import ROOT, ours

SCRIPTS = sorted((ROOT / "models" / "stores" / "lua").glob("*.lua"))
NAMES = [path.name for path in SCRIPTS]


def head(name: str) -> str:
    """Return the leading comment block of a script."""
    text = (ROOT / "models" / "stores" / "lua" / name).read_text()
    found = re.match(r"(?:--.*\n)+", text)
    return found[0].lower() if found else ""


def test_there_are_scripts() -> None:
    assert SCRIPTS != []


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("part", ["keys", "arg", "answer"])
def test_script_states(name: str, part: str) -> None:
    assert re.search(rf"^--.*\b{part}", head(name), re.MULTILINE), head(name)


@pytest.mark.parametrize("name", NAMES)
def test_script_touches_only_the_keys_it_was_given(name: str) -> None:
    # Redis Cluster routes by declared keys; a made-up name breaks there.
    text = (ROOT / "models" / "stores" / "lua" / name).read_text()
    code = "\n".join(line.split("--")[0] for line in text.splitlines())

    # INFO names a section of its answer.
    named = re.findall(r"redis\.p?call\(\s*['\"](\w+)['\"]\s*,\s*['\"]", code)

    assert set(named) <= {"INFO"}


def test_no_script_hides_in_python() -> None:
    hidden = [s.name for s in ours() if re.search(r"redis\.p?call\(", s.text)]

    assert hidden == []
