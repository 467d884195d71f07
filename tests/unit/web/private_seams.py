"""Seams of what is private, in memory: encrypted data and phone numbers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from web.services.phone import BoundPhone

if TYPE_CHECKING:
    from config.clock import Deadline
    from models.idempotency import Once
    from web.services.caller import Claims
    from web.services.open_data import Signed
    from wechat.open_data import SealedData


@dataclass
class MemoryOpenData:
    """Opens everything to the same user info; remembers what was sent."""

    error: Exception | None = None
    asked: list[tuple[SealedData, Signed | None]] = field(default_factory=list)

    def show(
        self,
        _claims: Claims,
        sealed: SealedData,
        signed: Signed | None,
        _deadline: Deadline,
        /,
    ) -> dict[str, Any]:
        self.asked.append((sealed, signed))
        if self.error is not None:
            raise self.error
        return {"nickName": "Band", "openId": "oGZ****JJE", "gender": 1}


@dataclass
class MemoryPhones:
    """Binds everything as one number; remembers what was sent."""

    error: Exception | None = None
    asked: list[str | SealedData] = field(default_factory=list)

    def bind_by_code(
        self,
        _claims: Claims,
        code: str,
        _deadline: Deadline,
        _once: Once | None = None,
        /,
    ) -> BoundPhone:
        return self._bound(code)

    def bind_by_data(
        self,
        _claims: Claims,
        sealed: SealedData,
        _deadline: Deadline,
        _once: Once | None = None,
        /,
    ) -> BoundPhone:
        return self._bound(sealed)

    def _bound(self, asked: str | SealedData) -> BoundPhone:
        self.asked.append(asked)
        if self.error is not None:
            raise self.error
        return BoundPhone("138****8000")
