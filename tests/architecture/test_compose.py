"""docker-compose.yml and the Dockerfile, checked by a parser: no engine runs here."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING, Any

import pytest

from config.dev.redis_server import server_command
from tests.architecture.documents import compose, procfile
from tests.architecture.sources import ROOT

if TYPE_CHECKING:
    from pathlib import Path

SERVICES = compose()["services"]
OURS = sorted(procfile())
# What the world may reach.
FRONT = "nginx"
STORES = [name for name in SERVICES if name not in {*procfile(), FRONT}]
# A one-shot service ends by design, so it has no health to ask about.
ONE_SHOT = {
    n for n, s in SERVICES.items() if str(s.get("restart", "")) in {"no", "False"}
}


def test_every_process_of_the_procfile_is_a_service() -> None:
    assert [name for name in OURS if name not in SERVICES] == []


@pytest.mark.parametrize("name", sorted(set(SERVICES) - ONE_SHOT))
def test_service_has_a_health_check(name: str) -> None:
    assert SERVICES[name]["healthcheck"]["test"]


@pytest.mark.parametrize("name", [*OURS, FRONT])
def test_our_processes_have_no_rights_to_spare(name: str) -> None:
    service = SERVICES[name]

    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert not str(service.get("user", "")).startswith(("0", "root"))


def test_image_does_not_run_as_root() -> None:
    path = next(ROOT.glob("deploy/Dockerfile"), ROOT / "Dockerfile")
    users = re.findall(r"^USER\s+(\S+)", path.read_text(), re.MULTILINE)

    assert users
    assert users[-1].split(":")[0] not in {"root", "0"}


def test_stores_are_not_published_to_the_world() -> None:
    published = {
        name: port
        for name in STORES
        for port in SERVICES[name].get("ports", [])
        if not str(port).startswith("127.0.0.1:")
    }

    assert published == {}


def test_internal_listeners_stay_on_loopback() -> None:
    published = [
        (name, port)
        for name in ("ops", "flower", "wechat")
        for port in SERVICES[name].get("ports", [])
        if not str(port).startswith("127.0.0.1:")
    ]

    assert published == []


def test_named_volumes_networks_and_secrets_are_declared() -> None:
    document = compose()
    undeclared = [
        f"{service}.{kind}: {name}"
        for service, body in SERVICES.items()
        for kind in ("volumes", "networks", "secrets")
        for name in names_of(kind, body.get(kind, []))
        if name not in document.get(kind, {})
    ]

    assert undeclared == []


def names_of(kind: str, entries: Any) -> list[str]:
    """Return the declared names a service uses; paths on the host are no names."""
    texts = [e.get("source", "") if isinstance(e, dict) else str(e) for e in entries]
    if kind != "volumes":
        return texts
    names = [text.split(":")[0] for text in texts]
    return [name for name in names if name and name[0] not in "./~$"]


def test_dependencies_exist() -> None:
    missing = [
        f"{name} -> {other}"
        for name, service in SERVICES.items()
        for other in service.get("depends_on", {})
        if other not in SERVICES
    ]

    assert missing == []


def options_of(words: list[str]) -> dict[str, str]:
    """Return a server's options by name: each is followed by its value."""
    named = [n for n, word in enumerate(words) if word.startswith("--")]
    return {words[n].removeprefix("--"): words[n + 1] for n in named}


def test_redis_keeps_what_it_accepted() -> None:
    options = options_of(SERVICES["redis"]["command"])

    assert options["appendonly"] == "yes"
    assert options["maxmemory-policy"] == "noeviction"


def test_redis_is_the_same_on_a_developers_machine(tmp_path: Path) -> None:
    line = server_command("redis-server", port=7001, folder=tmp_path)
    ours = options_of(shlex.split(line))
    production = options_of(SERVICES["redis"]["command"])

    # Where it listens, and where its folder is.
    placed = {"port", "bind", "dir", "daemonize"}
    assert {**ours, **dict.fromkeys(placed)} == {**production, **dict.fromkeys(placed)}
