"""Secrets: made once in ``VAR_DIR/secrets``, read into one settings group.

Several processes may start at once: whoever comes first writes, the others read
the same value. `python -m config.secrets` is the init step of containers.
"""

from __future__ import annotations

import os
import secrets
import sys
from contextlib import suppress
from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator, Field, SecretStr, field_validator

from config.setting_group import SettingGroup

KEY_BYTES = 32
PEM_HEAD = "-----BEGIN"
# What a sample key looks like: too few different characters, or a telling word.
MIN_DISTINCT = 8
SAMPLE_WORDS = ("change", "example", "sample", "secret", "password", "deadbeef")

NAMES = (
    "jwt_key",
    "data_key",
    "id_key",
    "admin_token",
    "flower_login",
    "wechat_secret",
)


def parse_key(value: object) -> object:
    """Read a key: hex of at least 32 bytes, or the text of a PEM key."""
    if not isinstance(value, str):
        return value
    if value.startswith(PEM_HEAD):
        return value.encode()
    try:
        key = bytes.fromhex(value)
    except ValueError:
        key = b""
    if len(key) < KEY_BYTES:
        message = f"must be the hex of at least {KEY_BYTES} random bytes"
        raise ValueError(message)
    return key


def looks_like_sample(value: str) -> bool:
    """Whether ``value`` was copied from an example instead of drawn at random."""
    text = value.lower()
    few = len(set(text)) < MIN_DISTINCT
    return few or any(word in text for word in SAMPLE_WORDS)


Key = Annotated[bytes, BeforeValidator(parse_key)]


class SecretSettings(SettingGroup):
    """Every secret of the house; none is ever printed by its repr."""

    jwt_key: Key = Field(
        alias="JWT_KEY", repr=False, description="Signs tokens: hex, or a PEM key."
    )
    data_key: Key = Field(
        alias="DATA_KEY", repr=False, description="Seals fields and session keys: hex."
    )
    id_key: Key = Field(
        alias="ID_KEY",
        repr=False,
        description="Derives user ids and look-up hashes: hex. Never change it.",
    )
    admin_token: SecretStr = Field(
        alias="ADMIN_TOKEN",
        min_length=16,
        description="Bearer token of the internal listener.",
    )
    flower_login: SecretStr = Field(
        alias="FLOWER_LOGIN", description="Flower's login as user:password."
    )
    wechat_secret: SecretStr = Field(
        SecretStr(""),
        alias="WECHAT_SECRET",
        description="AppSecret of the demo app; real ones stand in WECHAT_APPS.",
    )

    @field_validator("data_key", "id_key")
    @classmethod
    def _exact_size(cls, value: bytes) -> bytes:
        if len(value) != KEY_BYTES:
            message = f"must be the hex of exactly {KEY_BYTES} bytes"
            raise ValueError(message)
        return value

    @field_validator("flower_login")
    @classmethod
    def _user_and_password(cls, value: SecretStr) -> SecretStr:
        user, _, password = value.get_secret_value().partition(":")
        if not (user and password):
            message = "must be user:password"
            raise ValueError(message)
        return value


def secrets_directory(var_dir: Path) -> Path:
    """Return the folder of the secret files below ``var_dir``."""
    return var_dir / "secrets"


def ensure_secrets(var_dir: Path) -> dict[str, str]:
    """Make the secret files that are missing; return name and text of each.

    Folder 0700, files 0600. Safe when several processes call it at once. Raises
    OSError when the folder cannot be written.
    """
    folder = secrets_directory(var_dir)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return {name: _read_or_make(folder / name) for name in NAMES}


def read_secret(path: Path) -> str | None:
    """Return the text of a secret file without its line end, None when missing."""
    try:
        return path.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return None


def _draw(name: str) -> str:
    drawn = secrets.token_hex(KEY_BYTES)
    if name == "flower_login":
        return f"kuaida:{drawn[:24]}"
    # The length WeChat's own AppSecrets have.
    return drawn[:32] if name == "wechat_secret" else drawn


def _read_or_make(path: Path) -> str:
    if (present := read_secret(path)) is not None:
        return present
    draft = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(_draw(path.name) + "\n")
            file.flush()
            os.fsync(file.fileno())
        # A link, unlike a rename, never replaces what another process just made.
        with suppress(FileExistsError):
            os.link(draft, path)
    finally:
        draft.unlink()
    return path.read_text(encoding="utf-8").strip()


if __name__ == "__main__":
    ensure_secrets(Path(os.environ.get("VAR_DIR", "var")))
    sys.stdout.write("secrets are in place\n")
