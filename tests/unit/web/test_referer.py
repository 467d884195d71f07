"""The Referer as a hint: counted where it does not fit, told once, never refused."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from config.metrics.requests import REFERERS
from web.app import create_app
from web.referer import RefererHint

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask.testing import FlaskClient

    from config.settings import Settings
    from tests.unit.web.conftest import KeptLines
    from tests.unit.web.seams import House

OURS, OTHER = "wxdemo0000000001", "wxother000000002"
ME = "/api/v1/me"


def page(app_id: str = OURS, version: str = "17") -> str:
    return f"https://servicewechat.com/{app_id}/{version}/page-frame.html"


def counts() -> dict[str, float]:
    (family,) = REFERERS.collect()
    return {
        sample.labels["hint"]: sample.value
        for sample in family.samples
        if sample.name.endswith("_total")
    }


def counted(look: Callable[[], object]) -> dict[str, float]:
    before = counts()
    look()
    grown = {hint: n - before.get(hint, 0) for hint, n in counts().items()}
    return {hint: n for hint, n in grown.items() if n}


@pytest.mark.parametrize(
    ("referer", "app_id", "hint"),
    [
        (page(), OURS, ""),
        (page(), "", ""),
        (page(version="0"), OURS, "trial"),
        (page(version="devtools"), OURS, "devtools"),
        (page(OTHER), OURS, "other_app"),
        (page(OTHER, "devtools"), OURS, "other_app"),
        (page(OTHER), "", ""),
        (page("wxstranger"), OURS, "unknown_app"),
        (page("wxstranger", "0"), "", "unknown_app"),
        ("https://evil.cn/" + page(), OURS, "elsewhere"),
        (page().replace("https", "http"), OURS, "elsewhere"),
        (page().replace(".com", ".com.evil.cn"), OURS, "elsewhere"),
        (page() + "?x", OURS, "elsewhere"),
        (page() + "," + page(), OURS, "elsewhere"),
        (page("../etc"), OURS, "elsewhere"),
        ("\x00" * 4000, OURS, "elsewhere"),
    ],
)
def test_what_does_not_fit_is_counted(
    log: KeptLines, referer: str, app_id: str, hint: str
) -> None:
    looker = RefererHint([OURS, OTHER])

    grown = counted(lambda: looker.look(referer, app_id))

    assert grown == ({hint: 1} if hint else {})


def test_each_combination_is_told_once(log: KeptLines) -> None:
    looker = RefererHint([OURS, OTHER])
    for n in range(5):
        looker.look(page(OTHER), OURS)
        looker.look(page(f"wx13800138{n:03}"), OURS)
        looker.look(page(version="devtools"), OURS)

    lines = [json.loads(line) for line in log.lines]

    told = [(line["kind"], line["name"], line["app_id"]) for line in lines]
    assert told == [("other_app", OTHER, OURS), ("unknown_app", "", OURS)]
    assert "wx138" not in log.text()


def test_nobody_is_refused_for_it(
    client: FlaskClient, signed_in: dict[str, str]
) -> None:
    def ask() -> None:
        for referer in (page("wxstranger"), "https://evil.cn/", page()):
            headers = {**signed_in, "Referer": referer}
            assert client.get(ME, headers=headers).status_code == 200

    assert counted(ask) == {"unknown_app": 1, "elsewhere": 1}


def test_the_token_says_which_app_it_should_be(
    make_settings: Callable[..., Settings], house: House, signed_in: dict[str, str]
) -> None:
    apps = [{"app_id": app, "secret": "s" * 32} for app in (OURS, OTHER)]
    settings = make_settings(WECHAT_APPS=json.dumps(apps))
    client = create_app(settings, services=house.services).test_client()
    headers = {**signed_in, "Referer": page(OTHER)}

    assert counted(lambda: client.get(ME, headers=headers)) == {"other_app": 1}
