"""`flask rotate-jwt-key`: what it does and what it says."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from config.secrets import secrets_directory
from web.app import create_app

if TYPE_CHECKING:
    from collections.abc import Callable

    from config.settings import Settings


def run(settings: Settings, *options: str) -> tuple[int, str]:
    runner = create_app(settings).test_cli_runner()
    done = runner.invoke(args=["rotate-jwt-key", *options])
    return done.exit_code, done.output


def test_it_rotates_and_keeps_earlier_tokens(settings: Settings) -> None:
    path = secrets_directory(settings.var_dir) / "jwt_key"
    before = path.read_text()

    assert run(settings) == (
        0,
        "a new key signs; tokens of the old one live on to their end\n",
    )

    assert path.read_text() != before
    assert path.with_name("jwt_key_previous").read_text().startswith(before.strip())


def test_a_second_time_it_says_wait(settings: Settings) -> None:
    run(settings)
    status, words = run(settings)

    assert status == 1
    assert "still verifies" in words


def test_a_leaked_key_ends_at_once(settings: Settings) -> None:
    run(settings)

    assert run(settings, "--end-old") == (0, "all earlier tokens have ended\n")

    folder = secrets_directory(settings.var_dir)
    assert not (folder / "jwt_key_previous").exists()


def test_a_key_of_the_environment_is_not_touched(
    make_settings: Callable[..., Settings],
) -> None:
    status, words = run(make_settings(JWT_KEY=secrets.token_hex(32)))

    assert status == 1
    assert "given by JWT_KEY" in words


def test_a_folder_that_is_gone_is_one_line(settings: Settings) -> None:
    (secrets_directory(settings.var_dir) / "jwt_key").unlink()
    status, words = run(settings)

    assert status == 1
    assert words.startswith("Error: the key stays as it is")
