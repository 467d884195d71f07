"""Subscribe messages through the internal listener, each told apart by a number.

The number travels in the message itself, so the simulator's arrival log says how often
each message really reached WeChat.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

import urllib3

from config.clock import monotonic
from models.base import new_id
from tests.faults.loads.load import Seen
from tests.faults.loads.patches import logged_in, seen_of, unanswered
from tests.servers.http import call

if TYPE_CHECKING:
    from tests.faults.ground import Ground

APP = "wxdemo0000000001"
TEMPLATE = "demo_order_update"
SEND = "/cgi-bin/message/subscribe/send"
ENRICHED = "SELECT COUNT(*) AS n FROM identities"


class Messages:
    """`POST /admin/v1/notifications` for a few users who said yes each time."""

    def __init__(self, ground: Ground, users: int = 4) -> None:
        self._ground = ground
        self._url = f"{ground.stack.url('ops')}/admin/v1/notifications"
        self._token = secret(ground, "admin_token")
        self.phones = [logged_in(ground) for _ in range(users)]
        ground.stack.wait(
            lambda: ground.number(ENRICHED) >= users, within_s=30, what="identities"
        )

    def __call__(self, thread: int) -> Seen:
        """Have one message accepted."""
        return self.send(thread)

    def send(self, thread: int, **changes: Any) -> Seen:
        """Have one message accepted, with ``changes`` in its body."""
        phone = self.phones[thread % len(self.phones)]
        self._ground.stack.wechat.subscribe(phone.openid, TEMPLATE)
        number, start = new_id("n"), monotonic()
        body = {
            "app_id": APP,
            "user_id": phone.user_id,
            "template_key": "order_update",
            "data": {
                "character_string1": number,
                "thing2": "two things",
                "phrase3": "已发货",
                "time4": "2026-11-26 10:30",
            },
            "dedupe_key": number,
            **changes,
        }
        try:
            answer = call("POST", self._url, body=body, token=self._token)
        except urllib3.exceptions.HTTPError as error:
            self._ground.ledger.add("message", [number], phone.user_id, unknown=True)
            return unanswered(error, start)
        unknown = answer.status >= 500
        if answer.status == 200 or unknown:
            self._ground.ledger.add("message", [number], unknown=unknown)
        return seen_of(answer, start)


def secret(ground: Ground, name: str) -> str:
    """Return one of the secrets made at the first start."""
    return (ground.stack.var / "secrets" / name).read_text().strip()


def arrivals(ground: Ground) -> dict[str, list[int]]:
    """Return the times of the calls that WeChat took, by message number.

    A call that WeChat refused in words showed the user nothing and may be repeated;
    one whose answer was lost counts as taken.
    """
    url = f"{ground.stack.url('wechat')}/_sim/deliveries"
    at: dict[str, list[int]] = {}
    for item in call("GET", url).json["items"]:
        if item["outcome"] == "refused":
            continue
        body = item["body"]
        sent = json.loads(body) if isinstance(body, str) else body
        number = sent["data"]["character_string1"]["value"]
        at.setdefault(number, []).append(int(item["at"]))
    return at


def states(ground: Ground) -> dict[str, str]:
    """Return the state of each message by its number."""
    query = "SELECT dedupe_key, state FROM notifications"
    return {row["dedupe_key"]: row["state"] for row in ground.sql(query)}


def doubled(ground: Ground) -> list[str]:
    """Return the messages that reached WeChat more than once."""
    return [number for number, at in arrivals(ground).items() if len(at) > 1]


def count_states(ground: Ground) -> Counter[str]:
    """Count messages by state."""
    return Counter(states(ground).values())


def arrival_shares(ground: Ground, within_s: float) -> tuple[int, int]:
    """Return how many acknowledged messages there are, and arrived in time."""
    at, promised = arrivals(ground), ground.ledger.read("message")
    asked = [entry for entry in promised if not entry.unknown]
    in_time = sum(
        entry.id in at and at[entry.id][0] - entry.at <= within_s * 1000
        for entry in asked
    )
    return len(asked), in_time
