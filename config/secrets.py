"""Secrets: made once in ``VAR_DIR/secrets``, read into one settings group.

Several processes may start at once: whoever comes first writes, the others read
the same value. `python -m config.secrets` is the init step of containers.
Keys are read by `config/key_text.py`; the signing keys change in `config/jwt_keys.py`.
"""

from __future__ import annotations

import os
import secrets
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated

from pydantic import (
    BeforeValidator,
    Field,
    SecretStr,
    field_validator,
    model_validator,
)

from config.key_text import KEY_BYTES, RetiredKey, parse_key, parse_retired
from config.setting_group import SettingGroup

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


def looks_like_sample(value: str) -> bool:
    """Whether ``value`` was copied from an example instead of drawn at random."""
    text = value.lower()
    few = len(set(text)) < MIN_DISTINCT
    return few or any(word in text for word in SAMPLE_WORDS)


Key = Annotated[bytes, BeforeValidator(parse_key)]
SecondKey = Annotated[RetiredKey | None, BeforeValidator(parse_retired)]


class SecretSettings(SettingGroup):
    """Every secret of the house; none is ever printed by its repr."""

    jwt_key: Key = Field(
        alias="JWT_KEY",
        repr=False,
        description="Signs access tokens: hex, or the same bytes in PEM armour.",
    )
    jwt_key_previous: SecondKey = Field(
        None,
        alias="JWT_KEY_PREVIOUS",
        repr=False,
        description="A second key that verifies access tokens and signs none, for as "
        "long as it is given, or `<hex> until <epoch ms>`. Where keys are given by "
        "environment, the next key stands here until every process knows it, then "
        "the last one.",
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

    @model_validator(mode="after")
    def _two_keys(self) -> SecretSettings:
        retired = self.jwt_key_previous
        if retired is not None and retired.key == self.jwt_key:
            message = "JWT_KEY_PREVIOUS must differ from JWT_KEY"
            raise ValueError(message)
        return self

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


def secrets_for_all(var_dir: Path) -> list[Path]:
    """Return the files among the secrets that every user of this machine can read."""
    folder = secrets_directory(var_dir)
    if not folder.is_dir() or not folder.stat().st_mode & stat.S_IXOTH:
        return []
    return sorted(
        path for path in folder.iterdir() if path.stat().st_mode & stat.S_IROTH
    )


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
    # A link, unlike a rename, never replaces what another process just made.
    with drafted(path, _draw(path.name)) as draft, suppress(FileExistsError):
        os.link(draft, path)
    return path.read_text(encoding="utf-8").strip()


@contextmanager
def drafted(path: Path, text: str) -> Iterator[Path]:
    """Write ``text`` beside ``path`` for its owner alone, to be linked or renamed.

    It is on the disk when the block begins and gone when it ends.
    """
    draft = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text + "\n")
            file.flush()
            os.fsync(file.fileno())
        yield draft
    finally:
        draft.unlink(missing_ok=True)


if __name__ == "__main__":
    ensure_secrets(Path(os.environ.get("VAR_DIR", "var")))
    sys.stdout.write("secrets are in place\n")
