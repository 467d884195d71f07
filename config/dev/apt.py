"""Install Debian packages where that is allowed; standard library only.

`python3 -m config.dev.apt NAME…` installs the named programs' packages if a program
is missing. Used by `make test` and `make drill` (Redis, MariaDB, faketime, promtool,
nginx, curl) and by `make bench` (wrk).
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

# Program to look for: package that brings it.
PACKAGES = {
    "redis-server": "redis-server",
    "mariadbd": "mariadb-server",
    "faketime": "faketime",
    "promtool": "prometheus",
    "nginx": "nginx-light",
    "curl": "curl",
    "wrk": "wrk",
}
SERVER_FOLDERS = ("/usr/sbin", "/usr/local/sbin", "/sbin")
APT_TIMEOUT_S = 600


def find_program(name: str) -> str | None:
    """Return the path of a program; servers are also looked for in sbin."""
    path = os.pathsep.join([os.environ.get("PATH", ""), *SERVER_FOLDERS])
    return shutil.which(name, path=path)


def install(packages: list[str]) -> bool:
    """Install with apt as root or by passwordless sudo; return whether it worked."""
    prefix = _privilege()
    if prefix is None or not shutil.which("apt-get"):
        return False
    # Services of the packages must not start: tests start their own, privately.
    command = [*prefix, "env", "DEBIAN_FRONTEND=noninteractive", "RUNLEVEL=1"]
    wanted = [*command, "apt-get", "install", "-y", "-q", *packages]
    # The package lists of a fresh machine are empty: update only if needed.
    return _works(wanted) or (
        _works([*prefix, "apt-get", "update", "-q"]) and _works(wanted)
    )


def _privilege() -> list[str] | None:
    if os.geteuid() == 0:
        return []
    if shutil.which("sudo") and _works(["sudo", "-n", "true"]):
        return ["sudo", "-n"]
    return None


def _works(command: list[str]) -> bool:
    try:
        done = subprocess.run(
            command, check=False, capture_output=True, timeout=APT_TIMEOUT_S
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def main(programs: list[str]) -> int:
    """Make sure of ``programs``; 0 when all are there, 1 with one clear line."""
    missing = [name for name in programs if find_program(name) is None]
    if not missing:
        return 0
    packages = [PACKAGES[name] for name in missing]
    print(f"installing {', '.join(packages)} with apt", flush=True)
    install(packages)
    missing = [name for name in programs if find_program(name) is None]
    if not missing:
        return 0
    wanted = " ".join(PACKAGES[name] for name in missing)
    print(f"missing: {', '.join(missing)}. Install: apt install {wanted}")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
