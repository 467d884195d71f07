"""Pages of one user hear of each other: two web processes, both databases."""

from __future__ import annotations

import signal
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from config.clock import monotonic, sleep
from tests.integration.stream_client import Listening
from tests.servers.house import House
from tests.servers.http import call
from tests.servers.phone import Phone
from tests.servers.process import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.servers.stack import Stack

PATIENCE_S = 60
# Far below the wait of a poll, and below EVENTS_POLL_S of the pipeline.
SOON_S = 18


@pytest.fixture
def phone(pipeline: Stack) -> Iterator[Phone]:
    """Give a user whose first login has been enriched."""
    made = Phone(pipeline)
    made.login()
    heard(made, "0", "login.enriched")
    yield made
    if not pipeline.redis.process.alive:
        pipeline.redis.start()
    wait_until(lambda: made.login().status == 200, within_s=60, what="Redis is back")


def poll(phone: Phone, cursor: str | None = None, wait_ms: int = 20_000) -> Any:
    """Ask once and return the page."""
    query = f"?wait_ms={wait_ms}" + (f"&cursor={cursor}" if cursor else "")
    token = phone.data["access_token"]
    return phone.api("GET", f"/events{query}", token=token).data


def heard(phone: Phone, cursor: str, kind: str) -> str:
    """Poll from ``cursor`` until an event of ``kind``; return the cursor after it."""
    until = monotonic() + PATIENCE_S
    while monotonic() < until:
        page = poll(phone, cursor)
        cursor = page["cursor"]
        if kind in [event["type"] for event in page["events"]]:
            return cursor
    pytest.fail(f"{kind} was not heard")


def while_listening(act: Callable[[], object], listen: Callable[[], Any]) -> Any:
    """Return what ``listen`` hears of ``act``, which happens while it waits."""
    with ThreadPoolExecutor(1) as pool:
        listening = pool.submit(listen)
        sleep(0.5)
        act()
        return listening.result(PATIENCE_S)


def other_page(phone: Phone) -> Phone:
    """Return another page of the same user, not logged in yet."""
    made = Phone(phone.stack)
    made.openid = phone.openid
    return made


def listeners(stack: Stack) -> float:
    """Return how many listen, as the metrics tell."""
    text = call("GET", f"{stack.url('ops')}/metrics").body.decode()
    found = [x for x in text.splitlines() if x.startswith("kuaida_event_listeners ")]
    return float(found[0].split()[1])


def test_a_login_on_one_page_is_heard_by_the_other(phone: Phone) -> None:
    other = other_page(phone)
    cursor = poll(phone, wait_ms=0)["cursor"]

    page = while_listening(other.login, lambda: poll(phone, cursor))
    assert [event["type"] for event in page["events"]] == ["login.enriched"]
    assert page["events"][0]["data"]["session_id"] == other.data["session_id"]

    stream = Listening(phone)
    page = while_listening(other.login, lambda: stream.until("login.enriched"))
    assert page["data"]["session_id"] == other.data["session_id"]
    stream.hang_up()


def test_a_change_reaches_listeners_of_every_process(phone: Phone) -> None:
    streams = [Listening(phone) for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        cursor = poll(phone, wait_ms=0)["cursor"]
        polls = [pool.submit(poll, phone, cursor) for _ in range(8)]
        sleep(0.5)
        assert phone.rename("小快").status == 200
        told = {page["events"][0]["id"] for page in (p.result() for p in polls)}
    told |= {stream.until("profile.updated")["id"] for stream in streams}

    assert told == {str(int(cursor) + 1)}
    for stream in streams:
        stream.hang_up()


def test_a_stream_resumes_where_another_broke_off(phone: Phone) -> None:
    stream = Listening(phone)
    phone.rename("a")
    last = stream.until("profile.updated")["id"]
    stream.hang_up()
    for name in "bcd":
        phone.rename(name)

    again = Listening(phone, last)
    told = [again.until("profile.updated")["id"] for _ in range(3)]

    assert told == [str(int(last) + n) for n in (1, 2, 3)]
    again.hang_up()


def test_a_logout_ends_the_streams_of_its_session_after_telling(
    phone: Phone,
) -> None:
    other = other_page(phone)
    other.login()
    own, others = Listening(other), Listening(phone)
    token = other.data["access_token"]

    other.api("POST", "/auth/logout", token=token, body={"scope": "this"})

    told = [line for line in own.lines if line["type"] == "session.revoked"]
    assert [x["data"]["session_id"] for x in told] == [other.data["session_id"]]
    assert others.until("session.revoked")["data"]["reason"] == "logout"
    phone.rename("still here")
    assert others.until("profile.updated")
    others.hang_up()


def test_a_client_that_hangs_up_frees_its_place(phone: Phone) -> None:
    stack = phone.stack
    if "ops" not in stack.running:
        stack.start("ops")
    stream = Listening(phone)
    wait_until(lambda: listeners(stack) == 1, within_s=60, what="it listens")

    stream.hang_up()

    # Long before the next heartbeat would fail.
    wait_until(lambda: listeners(stack) == 0, within_s=60, what="it is let go")


def test_a_rolling_restart_fails_nobody(phone: Phone) -> None:
    web = phone.stack.running["web"]
    before = House.children(web.pid)
    stream = Listening(phone)
    cursor = poll(phone, wait_ms=0)["cursor"]
    with ThreadPoolExecutor(6) as pool:
        polls = [pool.submit(poll, phone, cursor, 25_000) for _ in range(6)]
        sleep(0.5)
        began = monotonic()
        web.signal(signal.SIGHUP)
        pages = [waiting.result(PATIENCE_S) for waiting in polls]
        assert monotonic() - began < SOON_S

    assert pages == [{"events": [], "cursor": cursor}] * 6
    # The stream ends politely, and its client goes on elsewhere.
    assert list(stream.lines) == []
    phone.rename("after the restart")
    assert heard(phone, cursor, "profile.updated")
    # A process that leaves may still take a connection, and end its stream at once.
    wait_until(
        lambda: not set(before) & set(House.children(web.pid)),
        within_s=60,
        what="the processes of before are gone",
    )


# The last test: relay and worker take longer to mend than listeners do.


def test_events_arrive_after_a_wipe_without_redis_and_when_it_is_back(
    phone: Phone,
) -> None:
    stack = phone.stack
    stream = Listening(phone)
    cursor = poll(phone, wait_ms=0)["cursor"]

    stack.redis.flush()
    assert soon(lambda: phone.rename("wiped"), stream)["id"] == str(int(cursor) + 1)

    cursor = poll(phone, wait_ms=0)["cursor"]
    stack.redis.stop()
    page = while_listening(lambda: phone.rename("away"), lambda: poll(phone, cursor))
    assert [event["type"] for event in page["events"]] == ["profile.updated"]
    assert stream.until("profile.updated")["id"] == page["cursor"]

    stack.redis.start()
    wait_until(lambda: phone.me().status == 200, within_s=60, what="Redis is used")
    back = soon(lambda: phone.rename("back"), stream)
    assert back["id"] == str(int(page["cursor"]) + 1)
    stream.hang_up()


def soon(act: Callable[[], object], stream: Listening) -> dict[str, Any]:
    """Return what ``stream`` hears of ``act``, in less than the slow poll takes."""
    began = monotonic()
    act()
    told = stream.until("profile.updated")
    assert monotonic() - began < SOON_S
    return told
