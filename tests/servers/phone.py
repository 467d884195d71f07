"""A mini-program of one user, as integration tests play it against a `Stack`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.servers.http import Answer, call

if TYPE_CHECKING:
    from tests.servers.stack import Stack


class Phone:
    """One WeChat user with a phone; ``data`` is the answer of the last login."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.openid = stack.wechat.user()["openid"]
        self.data: dict[str, Any] = {}

    @property
    def user_id(self) -> str:
        """Our id of the user, known after a login."""
        user_id: str = self.data["user"]["id"]
        return user_id

    def api(self, method: str, path: str, **how: Any) -> Answer:
        """Call a route."""
        return call(method, f"{self.stack.url('web')}/api/v1{path}", **how)

    def login(self, code: str | None = None, timeout_ms: int = 30_000) -> Answer:
        """Send a login code, a fresh one unless given."""
        body = {"code": code or self.code(), "device": {"id": self.openid}}
        head = {"X-Timeout-Ms": str(timeout_ms)}
        answer = self.api("POST", "/auth/login", body=body, headers=head)
        if answer.status == 200:
            self.data = answer.data
        return answer

    def code(self) -> str:
        """Return what ``wx.login`` gives."""
        return self.stack.wechat.code(self.openid)

    def me(self) -> Answer:
        """Read the own profile."""
        return self.api("GET", "/me", token=self.data["access_token"])

    def rename(self, nickname: str) -> Answer:
        """Change the own profile."""
        token = self.data["access_token"]
        return self.api("PATCH", "/me", token=token, body={"nickname": nickname})

    def refresh(self) -> Answer:
        """Exchange the refresh token."""
        body = {"refresh_token": self.data["refresh_token"]}
        return self.api("POST", "/auth/refresh", body=body)

    def renew(self) -> None:
        """Go on with the successor of the refresh token, when there is one."""
        answer = self.refresh()
        if answer.status == 200:
            self.data = {**self.data, **answer.data}
