"""Make every secret of a Compose installation once; the one-shot service `secrets`.

Writes the app's secrets and addresses to ``VAR_DIR/secrets`` and what MySQL and Redis
need to ``STORES_DIR``, whose group they share. Nothing is ever printed or replaced.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from config.secrets import ensure_secrets, secrets_directory

PRIVATE = 0o600
SHARED = 0o640


def write_once(path: Path, text: str, *, mode: int) -> str:
    """Write ``text`` unless the file is there; return what the file holds."""
    if not path.exists():
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(descriptor, "w") as file:
            file.write(text + "\n")
    return path.read_text().strip()


def main(var_dir: Path, stores: Path) -> None:
    """Make what is missing in both folders."""
    ensure_secrets(var_dir)
    drawn = secrets.token_hex
    password = write_once(stores / "mysql_password", drawn(24), mode=SHARED)
    write_once(stores / "mysql_root_password", drawn(24), mode=SHARED)
    redis = write_once(stores / "redis.conf", f"requirepass {drawn(24)}", mode=SHARED)
    addresses = {
        "database_url": f"mysql+pymysql://kuaida:{password}@mysql:3306/kuaida"
        "?charset=utf8mb4",
        "redis_url": f"redis://:{redis.split()[1]}@redis:6379/0",
    }
    for name, address in addresses.items():
        write_once(secrets_directory(var_dir) / name, address, mode=PRIVATE)


if __name__ == "__main__":
    main(Path(os.environ["VAR_DIR"]), Path(os.environ["STORES_DIR"]))
