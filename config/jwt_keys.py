"""The files of the keys that sign access tokens: where they are, reading, rotation.

`web/services/keyring.py` follows them; `tasks/maintenance.py` and the command
``rotate-jwt-key`` change them. Decision 0023 tells the rule.
"""

from __future__ import annotations

import fcntl
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, NamedTuple

from config.key_text import KEY_BYTES, RetiredKey, key_of, parse_retired
from config.secrets import SecretSettings, drafted, read_secret, secrets_directory

NS_PER_MS = 1_000_000

Rotated = Literal["rotated", "young", "overlap"]


class KeyFiles(NamedTuple):
    """Where the two keys are read again while we run; None: fixed at start.

    ``managed`` when both are the house's own, which it may rotate.
    """

    current: Path | None = None
    previous: Path | None = None
    managed: bool = False


class TokenKeys(NamedTuple):
    """The key that signs, and the one that only verifies."""

    current: bytes
    previous: RetiredKey | None = None


def find_key_files(
    given: Mapping[str, str], named: Mapping[str, Path], var_dir: Path
) -> KeyFiles:
    """Return the files the keys come from.

    ``given`` are the settings somebody gave, ``named`` the files of those that were
    given as ``<NAME>_FILE``.
    """
    if "JWT_KEY" in given:
        return KeyFiles(named.get("JWT_KEY"), named.get("JWT_KEY_PREVIOUS"))
    folder = secrets_directory(var_dir)
    if "JWT_KEY_PREVIOUS" in given:
        return KeyFiles(folder / "jwt_key", named.get("JWT_KEY_PREVIOUS"))
    return KeyFiles(folder / "jwt_key", folder / "jwt_key_previous", managed=True)


def read_token_keys(files: KeyFiles, fixed: SecretSettings) -> TokenKeys:
    """Return the keys as their files are now; those without a file are ``fixed``.

    Raises OSError and ValueError: the caller keeps the keys it has.
    """
    current, previous = fixed.jwt_key, fixed.jwt_key_previous
    if files.current is not None:
        current = key_of(files.current.read_text(encoding="utf-8"))
    if files.previous is not None:
        previous = read_retired(files.previous)
    if previous is not None and previous.key == current:
        # Between the two steps of a rotation, or after a death there.
        previous = None
    return TokenKeys(current, previous)


def read_retired(path: Path) -> RetiredKey | None:
    """Return the key in ``path``, None when the file is missing; ValueError."""
    text = read_secret(path)
    found = parse_retired(text) if text is not None else None
    return found if isinstance(found, RetiredKey) else None


def stamp_of(files: KeyFiles) -> tuple[tuple[int, ...], ...]:
    """Return what changes whenever a file does; an absent one counts as empty."""
    return tuple(_stamp(path) for path in (files.current, files.previous))


def rotate(
    folder: Path,
    *,
    now: int,
    overlap_ms: int,
    older_than_ms: int = 0,
) -> Rotated:
    """Draw a new key that signs; the old one verifies for ``overlap_ms`` more.

    ``young`` when the key in ``folder`` is not older than ``older_than_ms``;
    ``overlap`` when the key before it still verifies: there are two at most, and the
    tokens of a third would die early. Without an overlap the old keys end at once.
    Callers queue behind a lock on the folder, so that of many only the first rotates.
    Raises OSError.
    """
    current, previous = folder / "jwt_key", folder / "jwt_key_previous"
    with _locked(folder):
        age_ms = now - current.stat().st_mtime_ns // NS_PER_MS
        if older_than_ms and age_ms < older_than_ms:
            return "young"
        if overlap_ms and _still_verifies(current, previous, now):
            return "overlap"
        old = current.read_text(encoding="utf-8").strip()
        # The old key first: a reader between the two steps finds it in both.
        if overlap_ms:
            _replace(previous, f"{old} until {now + overlap_ms}")
        else:
            previous.unlink(missing_ok=True)
        _replace(current, secrets.token_hex(KEY_BYTES))
    return "rotated"


def _still_verifies(current: Path, previous: Path, now: int) -> bool:
    retired = read_retired(previous)
    signs = key_of(current.read_text(encoding="utf-8"))
    if retired is None or retired.key == signs:
        return False
    return retired.ends_at is None or retired.ends_at > now


def _stamp(path: Path | None) -> tuple[int, ...]:
    try:
        facts = path.stat() if path is not None else None
    except FileNotFoundError:
        facts = None
    return () if facts is None else (facts.st_mtime_ns, facts.st_ino, facts.st_size)


def _replace(path: Path, text: str) -> None:
    with drafted(path, text) as draft:
        draft.replace(path)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
        # The new names are on the disk before anybody is told.
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
