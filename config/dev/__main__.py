"""`make run`: the whole stack on one machine, in the order it needs.

Ports, secrets, Redis, migrations, demo shop, then the Procfile until Ctrl-C.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from config.dev.log_copy import say
from config.dev.ports import port_faults, uses_simulator
from config.dev.procfile import read_procfile
from config.dev.readiness import Readiness
from config.dev.ready_mark import ReadyMark
from config.dev.stack import ROOT, Stack
from config.dev.supervisor import StartFailed, Supervisor
from config.dev.welcome import welcome
from config.settings import Settings, SettingsError, given_settings, load_settings

MIGRATE = ["-m", "alembic", "-c", "models/migrations/alembic.ini", "upgrade", "head"]
LOAD_DEMO = ["-m", "flask", "--app", "web.wsgi", "load-demo"]
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True)
class Plan:
    """What to start: steps that must end well, then the processes that stay."""

    commands: dict[str, str]
    steps: dict[str, list[str]]
    private_redis: bool


class NotPossible(Exception):
    """Nothing was started; the text says what to change."""


@contextmanager
def alone(run_dir: Path) -> Iterator[None]:
    """Hold the folder: a second `make run` on it would wipe the first one's state."""
    run_dir.mkdir(parents=True, exist_ok=True)
    with (run_dir / "lock").open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            words = f"another `make run` uses {run_dir.parent}: stop it or set VAR_DIR"
            raise NotPossible(words) from None
        yield


def clean_run_dir(run_dir: Path) -> None:
    """Forget the last run: its pids, heartbeats and metrics are nobody's."""
    shutil.rmtree(run_dir / "metrics", ignore_errors=True)
    (run_dir / "metrics").mkdir(parents=True)
    for pattern in ("*.pid", "*.alive", "*.frozen", "ready", "redis_url"):
        for path in run_dir.glob(pattern):
            path.unlink(missing_ok=True)


def bring_up(stack: Stack, plan: Plan) -> None:
    """Start everything and say so; raises StartFailed with the reason."""
    if plan.private_redis:
        stack.start_redis()
    for name, arguments in plan.steps.items():
        stack.prepare(name, arguments)
    stack.start_all(plan.commands)
    if stack.supervisor.came_up:
        say(welcome(stack.settings, seconds=stack.seconds()), mark="")


def run(settings: Settings, plan: Plan) -> int:
    """Run the stack until a stop is asked for; return the exit code."""
    clean_run_dir(settings.run_dir)
    readiness = Readiness(settings)
    supervisor = Supervisor(
        ROOT,
        settings.run_dir,
        ReadyMark(settings.run_dir / "ready", readiness.missing),
        grace_s=settings.runner.stop_grace_s,
        frozen_after_s=settings.runner.frozen_after_s,
    )
    for number in SIGNALS:
        signal.signal(number, supervisor.ask_to_stop)
    try:
        bring_up(Stack(settings, supervisor, readiness), plan)
        supervisor.watch()
    except StartFailed as error:
        # A step that Ctrl-C interrupted has not failed.
        if not supervisor.stopping:
            say(f"make run: {error}")
            return 1
    finally:
        supervisor.stop()
    say("stopped")
    return 0


def make_plan(settings: Settings) -> Plan:
    """Decide what to start; raises NotPossible when a port is taken."""
    private_redis = "REDIS_URL" not in given_settings()
    if faults := port_faults(settings, private_redis=private_redis):
        raise NotPossible("\n".join(faults))
    commands = read_procfile(ROOT / "Procfile")
    if not uses_simulator(settings):
        commands.pop("wechat", None)
    steps = {"migrations": MIGRATE, "demo shop": LOAD_DEMO}
    return Plan(commands, steps, private_redis=private_redis)


def main() -> int:
    """Check what can be checked before anything starts, then run."""
    os.chdir(ROOT)
    try:
        settings = load_settings()
        with alone(settings.run_dir):
            return run(settings, make_plan(settings))
    except (SettingsError, NotPossible) as error:
        say(f"make run: {error}")
        return 2


if __name__ == "__main__":
    sys.exit(main())
