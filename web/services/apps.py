"""The mini-programs of this installation, as clients name them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from models.errors import FieldFault, InvalidInput

if TYPE_CHECKING:
    from config.settings import Settings


class Apps:
    """Which apps there are; the first one is meant when none is named."""

    def __init__(self, settings: Settings) -> None:
        self._known = tuple(app.app_id for app in settings.wechat.apps)

    def known(self, app_id: str | None) -> str:
        """Return the app meant; raises `InvalidInput` for one that is not here."""
        if app_id is None:
            return self._known[0]
        if app_id not in self._known:
            fault = FieldFault("app_id", "unknown_app", "no such app here")
            raise InvalidInput("unknown app", faults=(fault,))
        return app_id
