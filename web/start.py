"""How a listener's process starts: settings, logs, or one plain word why not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from config.logging import configure_logging
from config.settings import SettingsError, load_settings

if TYPE_CHECKING:
    from config.settings import Settings


def start_process(name: str) -> Settings:
    """Return the settings with logs configured; exits with all faults in words."""
    try:
        settings = load_settings()
    except SettingsError as error:
        raise SystemExit(str(error)) from None
    configure_logging(settings, name)
    return settings
