"""Commands of ``flask --app web.wsgi``: ``doctor`` and ``load-demo``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from models.catalog import load_demo
from models.database import open_database
from models.errors import Unavailable
from models.stores.container import open_stores
from web.doctor import Doctor
from wechat.gateway import open_gateway

if TYPE_CHECKING:
    from flask import Flask

    from config.settings import Settings


def add_commands(app: Flask, settings: Settings) -> None:
    """Add the commands of this installation to ``app``."""

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
