"""Pages of one user follow each other through the whole stack."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from config.clock import sleep

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.servers.house import House


def test_what_one_page_does_is_heard_by_the_other(house: House) -> None:
    openid = house.wechat.user()["openid"]
    first = house.login(openid).data
    house.wait_enriched(first["user"]["id"])
    cursor = page_of(house, first, "")["cursor"]

    told = while_waiting(lambda: house.login(openid, "phone-2"), house, first, cursor)
    types = [event["type"] for event in told["events"]]
    assert types == ["login.enriched", "device.added"]

    token = first["access_token"]
    body = {"nickname": "小快"}
    told = while_waiting(
        lambda: house.api("PATCH", "/me", token=token, body=body),
        house,
        first,
        told["cursor"],
    )
    assert [event["type"] for event in told["events"]] == ["profile.updated"]


def test_a_cursor_from_nowhere_is_one_resync(house: House) -> None:
    data = house.login().data

    told = page_of(house, data, "&cursor=123456&wait_ms=1000")

    assert [event["type"] for event in told["events"]] == ["resync"]
    assert told["events"][0]["id"] == told["cursor"]


def page_of(house: House, login: dict[str, Any], query: str) -> Any:
    """Return the page that the login's token is given."""
    path = f"/events?limit=10{query}"
    return house.api("GET", path, token=login["access_token"]).data


def while_waiting(
    act: Callable[[], Any], house: House, login: dict[str, Any], cursor: str
) -> Any:
    """Return what a long poll brings of what another page does meanwhile."""
    with ThreadPoolExecutor(1) as pool:
        query = f"&cursor={cursor}&wait_ms=20000"
        waiting = pool.submit(page_of, house, login, query)
        sleep(0.3)
        assert act().status == 200
        return waiting.result(30)
