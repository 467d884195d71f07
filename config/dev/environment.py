"""Make `.venv` and install the hashed lock; standard library only.

`python3 -m config.dev.environment [requirements.lock|requirements-dev.lock]`; run
by the Makefile before everything else. Fast when nothing changed, and safe when
two run at once.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from config.dev.apt import install

ROOT = Path(__file__).resolve().parents[2]
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
STAMP = VENV / "kuaida-installed.json"
RUN_LOCK = "requirements.lock"
DEV_LOCK = "requirements-dev.lock"
OLDEST = (3, 11)
TAIL_LINES = 15


def prepare(lock: str) -> str | None:
    """Make the environment hold ``lock``; return one line of complaint or None."""
    if sys.version_info < OLDEST:
        return "Python 3.11 or newer is needed: make PYTHON=/path/to/python3.11 run"
    with _alone():
        digests = {name: _digest(name) for name in (RUN_LOCK, DEV_LOCK)}
        if _installed().get(lock) == digests[lock] and _runs(PYTHON):
            return None
        if not _runs(PYTHON) and (complaint := _make_venv()):
            return complaint
        print(f"installing {lock} into .venv (about a minute, once)", flush=True)
        if complaint := _install(lock):
            return complaint
        # The dev lock holds the other one: the same versions, and more.
        names = (RUN_LOCK, DEV_LOCK) if lock == DEV_LOCK else (RUN_LOCK,)
        STAMP.write_text(json.dumps({name: digests[name] for name in names}))
        return None


@contextmanager
def _alone() -> Iterator[None]:
    with (ROOT / ".venv.lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _digest(name: str) -> str:
    return hashlib.sha256((ROOT / name).read_bytes()).hexdigest()


def _installed() -> dict[str, str]:
    try:
        found: dict[str, str] = json.loads(STAMP.read_text())
    except (OSError, ValueError):
        return {}
    return found


def _runs(python: Path) -> bool:
    """Whether the interpreter starts: one that was upgraded away does not."""
    return python.exists() and _call([str(python), "-c", ""]).returncode == 0


def _call(command: list[str]) -> subprocess.CompletedProcess[str]:
    # Settings of a user's pip about other installations do not fit a venv.
    environ = {
        k: v for k, v in os.environ.items() if k not in {"PIP_USER", "PIP_TARGET"}
    }
    return subprocess.run(
        command, check=False, capture_output=True, text=True, env=environ
    )


def _make_venv() -> str | None:
    """Make the venv with pip; Debian ships Python without what that needs."""
    whole = [sys.executable, "-m", "venv", "--clear", str(VENV)]
    if _call(whole).returncode == 0:
        return None
    print("python3 -m venv does not work yet: installing python3-venv", flush=True)
    names = ["python3-venv", "python{}.{}-venv".format(*sys.version_info)]
    if any(install([name]) and _call(whole).returncode == 0 for name in names):
        return None
    bare = [sys.executable, "-m", "venv", "--clear", "--without-pip", str(VENV)]
    if _call(bare).returncode == 0 and _outer_pip():
        return None
    return "python3 -m venv fails here. Install it: apt install python3-venv"


def _outer_pip() -> list[str]:
    """Return the command of a pip outside that can serve the venv, else nothing."""
    command = [sys.executable, "-m", "pip", "--python", str(PYTHON)]
    return command if _call([*command, "--version"]).returncode == 0 else []


def _install(lock: str) -> str | None:
    inner = [str(PYTHON), "-m", "pip"]
    pip = inner if _call([*inner, "--version"]).returncode == 0 else _outer_pip()
    options = ["--no-input", "--disable-pip-version-check", "--quiet"]
    wanted = ["--require-hashes", "--requirement", str(ROOT / lock)]
    done = _call([*pip, "install", *options, *wanted])
    if done.returncode == 0:
        return None
    print("\n".join(done.stderr.splitlines()[-TAIL_LINES:]), flush=True)
    return f"pip could not install {lock}: see above; is the package index reachable?"


def main(arguments: list[str]) -> int:
    """Prepare the environment; 0, or 1 after one clear line."""
    complaint = prepare(arguments[0] if arguments else RUN_LOCK)
    if complaint:
        print(complaint)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
