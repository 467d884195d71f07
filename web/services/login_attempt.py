"""A login on its way: what was asked, by whom, and the names it goes by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from models.stores.admission import Caller as LimitCaller

if TYPE_CHECKING:
    from models.device_info import DeviceInfo
    from web.services.caller import Caller, Claims
    from web.services.code_flight import Course


@dataclass(frozen=True, slots=True)
class LoginRequest:
    """What the page sends after ``wx.login``, already checked by the view."""

    code: str
    app_id: str | None = None
    device: DeviceInfo | None = None
    # Of a verified token that was sent along: whose guest is to be upgraded.
    guest: Claims | None = None


@dataclass(frozen=True, slots=True)
class Attempt:
    """One login on its way: the request, who asks, and the names it goes by."""

    request: LoginRequest
    caller: Caller
    app_id: str
    code_key: str
    spent_key: str
    mark: str
    course: Course

    @property
    def limits(self) -> LimitCaller:
        """The dimensions under which this login is counted."""
        device = self.request.device.id if self.request.device else ""
        device = device or self.caller.device_id
        return LimitCaller(
            self.caller.ip,
            device=device,
            app=self.app_id,
            request_id=self.caller.request_id,
        )
