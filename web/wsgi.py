"""Entry point of the public listener: ``gunicorn web.wsgi:app``."""

from __future__ import annotations

from web.app import create_app
from web.start import start_process

app = create_app(start_process("web"))
