"""What the Referer says of the mini-program that calls: a hint, never a reason.

WeChat sets `https://servicewechat.com/{app id}/{version}/page-frame.html` itself and a
mini-program cannot change it, but any other client can. So a Referer that does not
fit is counted and told once, and nobody is refused for it.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from config.logging import get_logger
from config.metrics.requests import REFERERS

if TYPE_CHECKING:
    from collections.abc import Iterable

_PAGE: Final = re.compile(
    r"https://servicewechat\.com/([A-Za-z0-9_-]{1,64})/([A-Za-z0-9._-]{1,32})"
    r"/page-frame\.html\Z"
)
# Versions that were never released, by WeChat's rule.
_UNRELEASED: Final = {"0": "trial", "devtools": "devtools"}
# Pages times apps: an installation sees a few; clients may invent more.
REMEMBERED: Final = 1024
_log: Final = get_logger("web.referer")


class RefererHint:
    """Holds Referers against the apps served and the app of the token."""

    def __init__(self, served: Iterable[str]) -> None:
        self._served = frozenset(served)
        self._told: set[tuple[str, str, str]] = set()
        self._judge = lru_cache(REMEMBERED)(self._judge_anew)

    def look(self, referer: str, app_id: str) -> None:
        """Count a Referer that does not fit; ``app_id`` is the token's, if any.

        Counted as ``other_app`` (than the token's), ``unknown_app`` (not one of ours),
        ``elsewhere`` (no page of a mini-program), ``trial`` or ``devtools``.
        """
        hint, page_app = self._judge(referer, app_id)
        if hint:
            REFERERS.labels(hint).inc()
            if hint not in _UNRELEASED.values():
                self._tell(hint, page_app, app_id)

    def _judge_anew(self, referer: str, app_id: str) -> tuple[str, str]:
        page = _PAGE.match(referer)
        if page is None:
            return "elsewhere", ""
        page_app, version = page.groups()
        if page_app not in self._served:
            # Its name is the client's text: not ours to repeat.
            return "unknown_app", ""
        if app_id and page_app != app_id:
            return "other_app", page_app
        return _UNRELEASED.get(version, ""), page_app

    def _tell(self, hint: str, page_app: str, app_id: str) -> None:
        """Log each combination once in a process; all its parts are apps of ours."""
        combination = (hint, page_app, app_id)
        if combination not in self._told:
            self._told.add(combination)
            _log.warning("referer_odd", kind=hint, name=page_app, app_id=app_id)
