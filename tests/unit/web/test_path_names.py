"""Names in paths: only what equals itself in every database is looked up."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from web.app import PUBLIC_ROUTES
from web.ops_app import ADMIN_ROUTES

if TYPE_CHECKING:
    from flask.testing import FlaskClient

    from tests.unit.web.conftest import Admin
    from tests.unit.web.seams import House

VARIABLE = re.compile(r"<[a-z_]+>")
# MariaDB takes "x" and "x " for the same; Redis and SQLite do not.
ODD = ["op_1%20", "%20op_1", "op_1%C2%A0", "op_1%09", "op_1%00", "op_1%0A", "%E4%BD%A0"]


def named(routes) -> list[tuple[str, str]]:
    found = [(r.method.upper(), r.path) for r in routes if VARIABLE.search(r.path)]
    assert found
    return found


@pytest.mark.parametrize("name", ODD)
def test_a_name_with_more_than_visible_ascii_is_not_found(
    client: FlaskClient, signed_in: dict[str, str], name: str
) -> None:
    for method, path in named(PUBLIC_ROUTES):
        told = client.open(
            VARIABLE.sub(name, path), method=method, headers=signed_in, json={}
        )
        assert (told.status_code, told.get_json()["reason"]) == (404, "not_found")


@pytest.mark.parametrize("name", ODD)
def test_nor_is_it_on_the_internal_listener(admin: Admin, name: str) -> None:
    for method, path in named(ADMIN_ROUTES):
        status, told = admin(method, VARIABLE.sub(name, path), json={})
        assert (status, told["reason"]) == (404, "not_found")


@pytest.mark.parametrize("name", ["2001:db8::1", "a.b_c~d-e%eth0"])
def test_the_name_of_an_address_or_a_device_is_looked_up(
    admin: Admin, house: House, name: str
) -> None:
    path = f"/admin/v1/risk/{name.replace('%', '%25')}/clear"

    assert admin("POST", path, json={"reason": "r"})[0] == 200
    assert house.risk.asked == [(name, "r")]
