"""Rules about the text of every file that no linter of ours can say."""

from __future__ import annotations

import ast
import re

from tests.architecture.sources import (
    ROOT,
    Source,
    dotted,
    ours,
    production,
    project_files,
    tiers,
)

# Spelled apart so that this file does not break its own rule.
REGISTRIES = ("pypi" + ".org", "pythonhosted" + ".org", "registry." + "npmjs")
MIRRORS = ("deb." + "debian", "proxy." + "golang", "docker" + ".io/")
MACHINE = ("/wo" + "rk/", "/fa" + "rm/", ".lib" + "rary", "bash_" + "jobs")
UNFINISHED = re.compile(
    r"\b(TO" + "DO|FIX" + "ME|XX" + r"X|NotImpl" + r"ementedError)\b"
)
# metrics/files.py only asks whether prometheus_client is in its multiprocess mode.
DOORS = ("settings.py", "secrets.py", "gunicorn.py", "metrics/files.py", "dev/")
VAGUE = {"utils", "util", "helper", "helpers", "manager", "common", "misc"}


def offences(sources: tuple[Source, ...], *callees: str) -> list[str]:
    """Name every call whose dotted text ends in one of ``callees``."""
    return [
        f"{source.name}:{line} {name}"
        for source in sources
        for line, name in source.calls()
        if name.endswith(callees)
    ]


def test_every_module_says_what_it_is_for() -> None:
    silent = [
        s.name for s in (*production(), *tiers()) if not ast.get_docstring(s.tree)
    ]

    assert silent == []


def test_no_import_hides_inside_a_function() -> None:
    hidden = [
        f"{source.name}:{node.lineno} {node.name}"
        for source in (*production(), *tiers())
        for node in source.functions()
        for inner in ast.walk(node)
        if isinstance(inner, ast.Import | ast.ImportFrom)
    ]

    assert hidden == []


def test_no_relative_import() -> None:
    relative = [
        f"{source.name}:{node.lineno}"
        for source in (*production(), *tiers())
        for node in ast.walk(source.tree)
        if isinstance(node, ast.ImportFrom) and node.level
    ]

    assert relative == []


def test_only_the_publisher_sends_celery_messages() -> None:
    senders = (".delay", ".apply_async", ".send_task", ".s", ".si")
    allowed = {"workers/publisher.py"}

    found = [x for x in offences(ours(), *senders) if x.split(":")[0] not in allowed]

    assert found == []


def test_only_the_unit_of_work_commits() -> None:
    # The driver's connection hands on what the unit of work has decided.
    allowed = {"models/database.py", "models/mysql_connection.py"}
    found = offences(ours(), ".commit", ".begin")

    outside = [x for x in found if x.split(":")[0] not in allowed]
    assert [x for x in outside if "/migrations/" not in x] == []


def test_only_the_clock_module_reads_the_time() -> None:
    raw = ("time.time", "time.time_ns", "time.monotonic", "datetime.now", "date.today")
    found = offences(ours(), *raw, ".utcnow", "time.sleep")

    assert [x for x in found if not x.startswith("config/clock.py:")] == []


def test_only_settings_read_the_environment() -> None:
    found = [
        f"{source.name}:{node.lineno}"
        for source in ours()
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Attribute) and dotted(node) == "os.environ"
    ]

    doors = tuple(f"config/{name}" for name in DOORS)
    assert [x for x in found if not x.startswith(doors)] == []


def test_no_setting_is_read_while_importing() -> None:
    eager = [
        f"{source.name}:{node.lineno}"
        for source in ours()
        for statement in source.tree.body
        if not isinstance(statement, ast.FunctionDef | ast.ClassDef | ast.If)
        for node in ast.walk(statement)
        if isinstance(node, ast.Call) and dotted(node.func).endswith("load_settings")
    ]

    # A process starts in a file of a few lines; those alone may be eager.
    starters = {
        "web/wsgi.py",
        "web/ops_wsgi.py",
        "workers/celery.py",
        "workers/flower_config.py",
        "config/gunicorn.py",
        "config/ops_gunicorn.py",
    }
    assert [x for x in eager if x.split(":")[0] not in starters] == []


def test_no_file_has_a_name_that_says_nothing() -> None:
    vague = [s.name for s in ours() if VAGUE & set(s.name[:-3].split("/"))]

    assert vague == []


def test_no_unfinished_mark_is_left() -> None:
    marks = [
        f"{source.name}:{number}"
        for source in (*production(), *tiers())
        for number, line in enumerate(source.text.splitlines(), 1)
        if UNFINISHED.search(line)
    ]

    assert marks == []


def test_no_error_is_swallowed_whole() -> None:
    wide = [
        f"{source.name}:{node.lineno}"
        for source in ours()
        for node in ast.walk(source.tree)
        if isinstance(node, ast.ExceptHandler)
        and (node.type is None or dotted(node.type) in {"Exception", "BaseException"})
        and all(isinstance(step, ast.Pass) for step in node.body)
    ]

    assert wide == []


def test_no_registry_host_or_machine_path_is_committed() -> None:
    named = [
        f"{path.relative_to(ROOT)}: {word}"
        for path in project_files()
        if path.suffix not in {".png", ".ico", ".woff2"}
        for word in (*REGISTRIES, *MIRRORS, *MACHINE)
        if word in path.read_text(errors="replace")
    ]

    assert named == []


def test_no_uv_lock_is_committed() -> None:
    # It embeds download addresses; requirements.lock holds versions and hashes only.
    assert [p for p in project_files() if p.name == "uv.lock"] == []
