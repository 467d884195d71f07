"""Messages in real processes: the notifier is killed in the middle of its call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.integration.conftest import HASTE
from tests.integration.journals import APP
from tests.integration.message_house import DATA, SEND, TEMPLATE
from tests.servers.fixtures import require
from tests.servers.http import call
from tests.servers.phone import Phone
from tests.servers.redis_server import find_redis
from tests.servers.stack import Stack, standing

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.servers.mariadb_server import MariaDbServer

BUSY = 43108
PROCESSES = ("wechat", "web", "ops", "relay", "worker", "notifier")


@pytest.fixture(scope="module")
def stack(
    tmp_path_factory: pytest.TempPathFactory, own_mariadb: MariaDbServer
) -> Iterator[Stack]:
    """Run everything a message meets."""
    require(find_redis)
    folder = tmp_path_factory.mktemp("messages")
    made = Stack(folder, own_mariadb.create("messages"), **HASTE)
    with standing(made, *PROCESSES):
        yield made


@pytest.fixture
def phone(stack: Stack) -> Phone:
    """Give a user who has accepted some messages."""
    made = Phone(stack)
    assert made.login().status == 200
    stack.wait(
        lambda: made.me().data["profile_state"] != "pending",
        within_s=100,
        what="the login in SQL",
    )
    for _ in range(5):
        stack.wechat.subscribe(made.openid, TEMPLATE)
    return made


def ask(stack: Stack, method: str, path: str = "", body: object = None) -> Any:
    token = (stack.var / "secrets" / "admin_token").read_text().strip()
    url = f"{stack.url('ops')}/admin/v1/notifications{path}"
    return call(method, url, token=token, body=body).data


def send(phone: Phone) -> str:
    body = {"app_id": APP, "user_id": phone.user_id, "template_key": "appointment"}
    name: str = ask(phone.stack, "POST", body={**body, "data": DATA})["id"]
    return name


def state(stack: Stack, name: str) -> str:
    found: str = ask(stack, "GET", f"/{name}")["state"]
    return found


def test_a_killed_call_is_unknown_and_the_rest_goes_out(
    stack: Stack, phone: Phone
) -> None:
    stack.wechat.fault(SEND, "delay", delay_ms=4500, times=1)
    hit = send(phone)
    stack.wait(
        lambda: bool(stack.wechat.deliveries(phone.openid)),
        within_s=100,
        what="the call at WeChat",
    )

    stack.running.pop("notifier").kill()
    assert state(stack, hit) == "sending"
    stack.start("notifier")
    later = send(phone)

    for name, end in ((hit, "unknown"), (later, "sent")):
        stack.wait(
            lambda name=name, end=end: state(stack, name) == end,  # type: ignore[misc]
            within_s=100,
            what=f"message {end}",
        )
    # While WeChat still has the first in hand it may refuse the other (43108).
    arrived = [
        one for one in stack.wechat.deliveries(phone.openid) if one["errcode"] != BUSY
    ]
    assert len(arrived) == 2


def test_a_planned_message_outlives_redis(stack: Stack, phone: Phone) -> None:
    body = {"app_id": APP, "user_id": phone.user_id, "template_key": "appointment"}
    now = ask(stack, "GET", f"/{send(phone)}")["created_at"]
    planned = {**body, "data": DATA, "send_at": now + 4000}
    name = ask(stack, "POST", body=planned)["id"]

    stack.redis.flush()

    stack.wait(
        lambda: state(stack, name) == "sent", within_s=100, what="the planned message"
    )
    assert ask(stack, "GET", f"/{name}")["sent_at"] >= now + 4000
