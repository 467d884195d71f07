"""A subscribe message travels through the whole stack, once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from config.clock import now_ms
from tests.servers.http import call
from tests.servers.process import wait_until

if TYPE_CHECKING:
    from tests.servers.house import House
    from tests.servers.http import Answer

SEND = "/cgi-bin/message/subscribe/send"
TEMPLATE = "demo_order_update"
DATA = {
    "character_string1": "SO-20261126-1",
    "thing2": "两件商品",
    "phrase3": "已发货",
    "time4": "2026-11-26 10:30",
}
# P24 promises it for 95 in a hundred; one at rest has no excuse.
ARRIVAL_S = 10


class Sender:
    """Another system of ours that writes to one user."""

    def __init__(
        self, house: House, openid: str = "", user_id: str = "", *, grants: int = 1
    ) -> None:
        self.house = house
        self.openid = openid or house.wechat.user()["openid"]
        self.user_id = user_id or house.login(self.openid).data["user"]["id"]
        for _ in range(grants):
            house.wechat.subscribe(self.openid, TEMPLATE)

    def ask(self, method: str, path: str = "", body: Any = None, **how: Any) -> Answer:
        """Call a message route of the internal listener."""
        url = f"{self.house.url('ops')}/admin/v1/notifications{path}"
        token = self.house.secret("admin_token")
        return call(method, url, token=token, body=body, **how)

    def body(self) -> dict[str, Any]:
        """Return a legal request."""
        return {
            "app_id": "wxdemo0000000001",
            "user_id": self.user_id,
            "template_key": "order_update",
            "data": DATA,
        }

    def send(self, **changes: Any) -> dict[str, Any]:
        """Have a message accepted."""
        answer = self.ask("POST", body={**self.body(), **changes})
        message: dict[str, Any] = answer.data
        return message

    def wait(self, message: dict[str, Any], *states: str) -> dict[str, Any]:
        """Wait for one of ``states`` and return the message then."""
        seen: dict[str, Any] = {}

        def there() -> bool:
            seen.update(self.ask("GET", f"/{message['id']}").data)
            return seen["state"] in states

        wait_until(there, within_s=ARRIVAL_S, what=f"message {states}")
        return seen

    def arrivals(self) -> list[dict[str, Any]]:
        """Return what reached WeChat for this user."""
        return self.house.wechat.deliveries(self.openid)


def test_a_message_arrives_exactly_once(house: House) -> None:
    sender = Sender(house)

    message = sender.send(dedupe_key=f"k-{now_ms()}", page="pages/orders/detail?id=1")
    seen = sender.wait(message, "sent")

    (arrival,) = sender.arrivals()
    assert arrival["outcome"] == "delivered"
    assert seen["wechat_msgid"] == str(arrival["msgid"])
    assert [attempt["outcome"] for attempt in seen["attempts"]] == ["sent"]
    assert arrival["body"]["data"]["phrase3"] == {"value": "已发货"}
    assert arrival["body"]["page"] == "pages/orders/detail?id=1"


def test_equal_requests_under_a_key_are_one_message(house: House) -> None:
    sender = Sender(house, grants=2)
    body, key = sender.body(), {"Idempotency-Key": f"k-{now_ms()}"}

    first, again = (sender.ask("POST", body=body, headers=key) for _ in range(2))

    assert first.data["id"] == again.data["id"]
    assert again.headers["Idempotent-Replayed"] == "true"
    other = sender.ask("POST", body={**body, "page": "pages/x/y"}, headers=key)
    assert (other.status, other.reason) == (422, "idempotency_key_reused")
    empty = sender.ask("POST", body=body, headers={"Idempotency-Key": ""})
    assert (empty.status, empty.reason) == (400, "validation_failed")
    sender.wait(first.data, "sent")
    assert len(sender.arrivals()) == 1


def test_a_planned_message_keeps_its_second(house: House) -> None:
    sender = Sender(house)
    send_at = now_ms() + 2500

    message = sender.send(send_at=send_at)
    cancelled = sender.send(send_at=send_at)
    assert message["state"] == "scheduled"
    assert sender.ask("POST", f"/{cancelled['id']}/cancel").data["state"] == "cancelled"
    sender.wait(message, "sent")

    (arrival,) = sender.arrivals()
    assert arrival["at"] >= send_at
    assert sender.ask("POST", f"/{message['id']}/cancel").reason == "state_forbids"


def test_a_user_without_a_grant_is_told(house: House) -> None:
    sender = Sender(house, grants=0)

    seen = sender.wait(sender.send(), "failed")

    assert seen["errcode"] == 43101
    query = "SELECT type FROM user_events WHERE user_id = ? ORDER BY seq DESC LIMIT 1"
    assert house.sql(query, sender.user_id) == [{"type": "notification.failed"}]
    house.wechat.subscribe(sender.openid, TEMPLATE)
    sender.ask("POST", f"/{seen['id']}/retry")
    sender.wait(seen, "sent")


@pytest.mark.parametrize("mode", ["accept_then_reset", "accept_then_stall"])
def test_an_unknown_message_stays_so(house: House, mode: str) -> None:
    sender = Sender(house)
    house.wechat.fault(SEND, mode, times=1)

    seen = sender.wait(sender.send(), "unknown")

    assert len(sender.arrivals()) == 1
    assert seen["attempts"][0]["outcome"] == "unknown"
    metrics = house.ops("/metrics").body.decode()
    assert 'kuaida_notifications_total{cause="' in metrics
    assert 'outcome="unknown"' in metrics
