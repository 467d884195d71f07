"""Entry point of the internal listener: ``gunicorn web.ops_wsgi:app``."""

from __future__ import annotations

from web.ops_app import create_ops_app
from web.start import start_process

app = create_ops_app(start_process("ops"))
