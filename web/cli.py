"""Commands of ``flask --app web.wsgi``: doctor, demo shop, key rotation."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from config.clock import now_ms
from config.jwt_keys import rotate
from config.secrets import secrets_directory
from models.catalog import load_demo
from models.database import open_database
from models.errors import Unavailable
from models.stores.container import open_stores
from web.doctor import Doctor
from wechat.gateway import open_gateway

if TYPE_CHECKING:
    from flask import Flask

    from config.settings import Settings


ROTATED = {
    "rotated": "a new key signs; tokens of the old one live on to their end",
    "overlap": "the key before this one still verifies: wait, or use --end-old",
}


def add_commands(app: Flask, settings: Settings) -> None:
    """Add the commands of this installation to ``app``."""
    _add_key_command(app, settings)

    @app.cli.command("doctor")
    def doctor() -> None:
        """Say in plain words what is wrong; exits with 1 when something is."""
        stores = open_stores(settings)
        gateway = open_gateway(settings, stores)
        sick = 0
        for finding in Doctor(
            settings, stores, open_database(settings), gateway
        ).examine():
            sick += not finding.ok
            mark = "ok   " if finding.ok else "WRONG"
            click.echo(f"{mark} {finding.part:<14} {finding.words}")
        click.echo("all is well" if not sick else f"{sick} things to repair")
        sys.exit(1 if sick else 0)

    @app.cli.command("load-demo")
    def load_demo_command() -> None:
        """Put the demo shop into the database; what is there stays."""
        try:
            with open_database(settings).unit_of_work() as work:
                count = load_demo(work.session)
        except Unavailable as error:
            raise click.ClickException(f"the database is away: {error}") from error
        click.echo(f"{count} products added")


def _add_key_command(app: Flask, settings: Settings) -> None:
    @app.cli.command("rotate-jwt-key")
    @click.option("--end-old", is_flag=True, help="Refuse all earlier tokens at once.")
    def rotate_jwt_key_command(*, end_old: bool) -> None:
        """Draw a new key for access tokens; processes notice it by themselves."""
        if not settings.jwt_files.managed:
            raise click.ClickException("the key is given by JWT_KEY: change it there")
        overlap_ms = 0 if end_old else settings.tokens.key_overlap_ms
        folder = secrets_directory(settings.var_dir)
        try:
            outcome = rotate(folder, now=now_ms(), overlap_ms=overlap_ms)
        except (OSError, ValueError) as error:
            raise click.ClickException(f"the key stays as it is: {error}") from error
        if outcome != "rotated":
            raise click.ClickException(ROTATED[outcome])
        click.echo("all earlier tokens have ended" if end_old else ROTATED[outcome])
