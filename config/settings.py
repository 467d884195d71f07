"""All settings, read once at the start of a process from environment and files.

Groups are declared in the `*_settings` modules and joined in `setting_tree`;
factories take the `Settings` made here, and nothing reads the environment later.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import TypeVar, cast, get_args

from dotenv import dotenv_values
from pydantic import ValidationError

from config.agreement import disagreements
from config.jwt_keys import KeyFiles, find_key_files
from config.production import production_faults
from config.secrets import (
    NAMES,
    ensure_secrets,
    read_secret,
    secrets_directory,
    secrets_for_all,
)
from config.setting_group import SettingGroup
from config.setting_tree import Environment, Settings
from config.wechat_settings import DEMO_APP_ID, WeChatApp, WeChatSettings

__all__ = [
    "Settings",
    "SettingsError",
    "given_settings",
    "load_settings",
    "setting_names",
]

GroupT = TypeVar("GroupT", bound=SettingGroup)

DEFAULT_REDIS_URL = "redis://127.0.0.1:6379/0"
# `make run` leaves the address of its private Redis here for other terminals.
REDIS_URL_FILE = Path("run", "redis_url")


# pydantic's words for the commonest faults, said for the person who set them.
PLAIN = {
    "missing": "is missing",
    "int_parsing": "must be a whole number",
    "float_parsing": "must be a number",
    "bool_parsing": "must be true or false",
    "too_short": "needs a length of {min_length} at least",
    "string_too_short": "needs {min_length} characters at least",
}


class SettingsError(Exception):
    """The settings cannot be used; ``faults`` names every reason, not the first."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("wrong settings:\n" + "\n".join(f"  - {f}" for f in faults))
        self.faults = faults


GROUPS: dict[str, type[SettingGroup]] = {
    name: kind
    for name, field in Settings.model_fields.items()
    if isinstance(kind := field.annotation, type) and issubclass(kind, SettingGroup)
}


def load_settings(
    environ: Mapping[str, str] | None = None, *, env_file: Path | None = Path(".env")
) -> Settings:
    """Read and check every setting; the environment wins over ``env_file``.

    ``NAME_FILE`` names a file that holds the value of ``NAME``. Outside production
    missing secrets are made. Raises SettingsError with all faults at once.
    """
    faults: list[str] = []
    source = os.environ if environ is None else environ
    merged = _merged(source, env_file)
    named = _named_files(source, merged)
    given = _given(merged, named, faults)
    env = given.get("KUAIDA_ENV", "dev")
    if env not in get_args(Environment):
        faults.append("KUAIDA_ENV must be dev, test or production")
    var_dir = Path(given.get("VAR_DIR", "var")).resolve()
    values = _derived(given, var_dir, production=env == "production") | given
    files = find_key_files(given, named, var_dir)
    _add_secrets(values, var_dir, faults, make=env != "production")
    _add_previous_key(values, files)
    groups = {name: _fill(kind, values, faults) for name, kind in GROUPS.items()}
    # Of the groups that are legal by themselves; the others are named already.
    legal = cast("Settings", SimpleNamespace(**groups))
    faults += disagreements(legal)
    if env == "production":
        faults += production_faults(legal)
        faults += [
            f"{path} can be read by everybody: chmod it to 0600"
            for path in secrets_for_all(var_dir)
        ]
    if faults:
        raise SettingsError(faults)
    fields = {"env": env, "var_dir": var_dir, "jwt_files": files}
    return Settings.model_validate(fields | groups)


def given_settings(
    environ: Mapping[str, str] | None = None, *, env_file: Path | None = Path(".env")
) -> dict[str, str]:
    """Return the settings somebody gave, without defaults; unreadable files out."""
    source = os.environ if environ is None else environ
    merged = _merged(source, env_file)
    return _given(merged, _named_files(source, merged), [])


def setting_names() -> Iterator[str]:
    """Yield the environment name of every setting of every group."""
    for kind in GROUPS.values():
        for field in kind.model_fields.values():
            yield str(field.alias)


def _merged(environ: Mapping[str, str], env_file: Path | None) -> dict[str, str]:
    stored = dotenv_values(env_file, interpolate=False) if env_file else {}
    return {k: v for k, v in (stored | dict(environ)).items() if v}


def _known() -> list[str]:
    return sorted({"KUAIDA_ENV", "VAR_DIR", *setting_names()})


def _named_files(
    environ: Mapping[str, str], merged: Mapping[str, str]
) -> dict[str, Path]:
    """Return the file of each setting that is given as NAME_FILE.

    The variable itself wins, as in the images of the big databases.
    """
    return {
        name: Path(merged[f"{name}_FILE"])
        for name in _known()
        if f"{name}_FILE" in merged and not environ.get(name)
    }


def _given(
    merged: Mapping[str, str], named: Mapping[str, Path], faults: list[str]
) -> dict[str, str]:
    given = {name: merged[name] for name in _known() if name in merged}
    for name, path in named.items():
        try:
            given[name] = path.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            faults.append(f"{name}_FILE cannot be read: {type(error).__name__}")
    return given


def _derived(
    given: Mapping[str, str], var_dir: Path, *, production: bool
) -> dict[str, str]:
    """Defaults that depend on other settings."""
    running = None if production else read_secret(var_dir / REDIS_URL_FILE)
    redis_url = given.get("REDIS_URL", running or DEFAULT_REDIS_URL)
    return {
        "DATABASE_URL": f"sqlite:///{var_dir}/kuaida.db",
        "REDIS_URL": redis_url,
        "BROKER_URL": redis_url,
        "WECHAT_API_BASE": f"http://127.0.0.1:{given.get('SIM_PORT', '8002')}",
    }


def _add_secrets(
    values: dict[str, str], var_dir: Path, faults: list[str], *, make: bool
) -> None:
    missing = [name for name in NAMES if name.upper() not in values]
    if make and missing:
        try:
            ensure_secrets(var_dir)
        except OSError as error:
            faults.append(f"VAR_DIR/secrets cannot be made: {type(error).__name__}")
    for name in missing:
        text = read_secret(secrets_directory(var_dir) / name)
        if text is not None:
            values[name.upper()] = text


def _add_previous_key(values: dict[str, str], files: KeyFiles) -> None:
    """Add what a rotation left; a death between its steps left the same key twice."""
    if files.managed and files.previous is not None:
        text, signs = read_secret(files.previous), values.get("JWT_KEY", "")
        if text is not None and not (signs and text.startswith(signs)):
            values["JWT_KEY_PREVIOUS"] = text


def _fill(
    kind: type[GroupT], values: Mapping[str, object], faults: list[str]
) -> GroupT | None:
    names = {str(field.alias) for field in kind.model_fields.values()}
    chosen = {name: values[name] for name in names & values.keys()}
    if kind is WeChatSettings and "WECHAT_APPS" not in chosen:
        chosen["WECHAT_APPS"] = _demo_apps(values)
    try:
        return kind.model_validate(chosen)
    except ValidationError as error:
        for fault in error.errors(include_input=False, include_url=False):
            where = ".".join(str(part) for part in fault["loc"])
            plain = PLAIN.get(fault["type"])
            words = (
                plain.format(**fault.get("ctx", {}))
                if plain
                else fault["msg"].removeprefix("Value error, ")
            )
            faults.append(f"{where} {words}".strip())
        return None


def _demo_apps(values: Mapping[str, object]) -> tuple[WeChatApp, ...]:
    secret = values.get("WECHAT_SECRET")
    if not secret:
        return ()
    return (WeChatApp.model_validate({"app_id": DEMO_APP_ID, "secret": secret}),)
