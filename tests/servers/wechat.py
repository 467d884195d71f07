"""The control API of the WeChat simulator, as tests speak it over HTTP."""

from __future__ import annotations

from typing import Any

from tests.servers.http import call


class WeChatControl:
    """What a person with a phone, and a bad day at WeChat, can do."""

    def __init__(self, base: str) -> None:
        self.base = base

    def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        answer = call("POST", f"{self.base}/_sim/{path}", body=body)
        assert answer.status == 200, answer.body
        return answer.json

    def user(self, **known: Any) -> dict[str, Any]:
        """Make a WeChat user; returns openid, unionid, phone."""
        return self._post("users", known)

    def code(self, openid: str, kind: str = "login") -> str:
        """Return what ``wx.login`` or the phone button would hand the page."""
        code: str = self._post("codes", {"openid": openid, "kind": kind})["code"]
        return code

    def encrypt(
        self, openid: str, kind: str = "user_info", **overrides: Any
    ) -> dict[str, Any]:
        """Return what the page gets: encrypted_data, iv, raw_data and signature."""
        asked = {"openid": openid, "kind": kind, "overrides": overrides}
        return self._post("encrypt", asked)

    def login_elsewhere(self, openid: str) -> None:
        """Have WeChat make a new session_key that the backend never hears of."""
        self._post("codes", {"openid": openid, "rotate": True})

    def subscribe(self, openid: str, template_id: str) -> None:
        """Accept one message of a template in the popup."""
        answered = {"openid": openid, "template_id": template_id, "result": "accept"}
        self._post("subscribe", answered)

    def deliveries(self, openid: str) -> list[dict[str, Any]]:
        """Return every send call for a user that arrived."""
        answer = call("GET", f"{self.base}/_sim/deliveries?openid={openid}")
        items: list[dict[str, Any]] = answer.json["items"]
        return items

    def fault(self, path: str, mode: str, **how: Any) -> None:
        """Break ``path`` as ``mode`` says until `heal`."""
        self._post("faults", {"path": path, "mode": mode, **how})

    def heal(self) -> None:
        """Take every fault away."""
        call("DELETE", f"{self.base}/_sim/faults")

    def calls(self, path: str) -> int:
        """Return how often our side called ``path``."""
        counts = call("GET", f"{self.base}/_sim/calls").json["calls"]
        return int(counts.get(path, 0))

    def advance(self, seconds: int) -> None:
        """Move the simulator's clock."""
        self._post("clock", {"advance_s": seconds})
