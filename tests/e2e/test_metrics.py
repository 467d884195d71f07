"""The internal listener: metrics of every process, readiness, the docs page."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.servers.house import CODE2SESSION
from tests.servers.http import call
from tests.servers.process import wait_until

if TYPE_CHECKING:
    from tests.servers.house import House

NAMES = """
kuaida_http_requests_total kuaida_http_seconds_bucket kuaida_logins_total
kuaida_wechat_calls_total kuaida_wechat_seconds_bucket
kuaida_cache_total kuaida_relay_sent_total kuaida_redis_breaker_open
kuaida_outbox_dead_total kuaida_task_runs_total kuaida_task_seconds_bucket
kuaida_enriched_batch_bucket kuaida_slot_runs_total kuaida_up
""".split()
# Read at scrape time: how much waits, and how old the oldest of it is.
SCRAPED = ("journal", "queue", "oldest", "outbox")


def metrics(house: House) -> str:
    """Return the metrics page."""
    answer = house.ops("/metrics")
    assert answer.status == 200
    return answer.body.decode()


@pytest.mark.parametrize("name", NAMES)
def test_metric_is_exported(house: House, name: str) -> None:
    data = house.login().data
    house.api("GET", "/me", token=data["access_token"])
    house.wait_enriched(data["user"]["id"])

    family = name.removesuffix("_total").removesuffix("_bucket")

    def present() -> bool:
        return f"# TYPE {family}" in metrics(house)

    # The clock's own runs come every 15 seconds.
    wait_until(present, within_s=60, what=name)


@pytest.mark.parametrize("part", SCRAPED)
def test_backlogs_are_exported(house: House, part: str) -> None:
    names = re.findall(r"# TYPE (kuaida_\w+) gauge", metrics(house))

    assert [name for name in names if part in name]


def test_counts_of_all_web_processes_come_together(house: House) -> None:
    count = re.compile(
        r"^kuaida_http_requests_total\{.*hello.*\} ([\d.e+]+)", re.MULTILINE
    )

    def total() -> float:
        return sum(float(value) for value in count.findall(metrics(house)))

    before = total()
    for _ in range(20):
        assert call("GET", house.url("web") + "/api/hello").status == 200

    assert total() - before == 20


def test_an_open_breaker_is_shown(house: House) -> None:
    house.wechat.fault(CODE2SESSION, "http500")
    openid = house.wechat.user()["openid"]

    def shut() -> bool:
        return house.login(openid).reason == "wechat_unavailable"

    wait_until(shut, within_s=60, every_s=0, what="the breaker opens")
    line = re.compile(r"^kuaida_wechat_breaker_open\{.*\} (\S+)", re.MULTILINE)
    shown = line.findall(metrics(house))

    assert "1.0" in shown
    house.wechat.heal()
    wait_until(lambda: house.login().status == 200, within_s=60, what="it closes")


def test_public_listener_shows_none_of_it(house: House) -> None:
    paths = ("/metrics", "/readyz", "/docs", "/openapi.json", "/admin/v1/outbox")

    found = [p for p in paths if call("GET", house.url("web") + p).status != 404]

    assert found == []


def test_readiness_names_its_parts(house: House) -> None:
    answer = house.ops("/readyz")

    assert answer.status == 200
    assert answer.json


def test_docs_page_needs_nothing_from_outside(house: House) -> None:
    page = house.ops("/docs/")
    if page.status in {301, 302, 308}:
        page = house.ops(page.headers["Location"])

    assert page.status == 200
    outside = re.findall(r"(?:src|href)=\"(https?:)?//[^\"]+", page.body.decode())
    assert outside == []


def test_healthz_is_alive_only(house: House) -> None:
    answer = call("GET", house.url("web") + "/healthz")

    assert answer.data["status"]
