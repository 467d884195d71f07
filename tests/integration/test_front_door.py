"""The way of a real request: TLS, nginx, the web process, and what each believes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.integration.front_house import FIELD, Front
from tests.integration.raw_http import Phone as PlainPhone
from tests.servers.certificates import HOST
from tests.servers.fixtures import require
from tests.servers.http import call
from tests.servers.nginx_server import NginxServer, find_nginx
from tests.servers.patience import PATIENT
from tests.servers.phone import Phone
from tests.servers.redis_server import find_redis
from tests.servers.stack import Stack, standing
from web.middleware import SECURITY_HEADERS
from web.visit import DATA_ONLY

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.integration.raw_http import Answer

ME = "/api/v1/me"
EACH_ONCE = {
    **dict(SECURITY_HEADERS),
    "Content-Security-Policy": DATA_ONLY,
    "Strict-Transport-Security": "max-age=31536000",
}
TUNED = {
    # Or a process that stood still would take Redis for gone, and count by itself.
    **PATIENT,
    "ALLOWED_HOSTS": HOST,
    "TRUSTED_PROXY_HOPS": "1",
    "TRUSTED_PROXIES": "127.0.0.1",
    "EVENTS_HEARTBEAT_S": "0.3",
    # Two writes of one address, and none soon after.
    "RATE_LIMITS": '{"write.ip": "2/0.001"}',
}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    require(find_redis)
    made = Stack(tmp_path_factory.mktemp("stack"), **TUNED)
    with standing(made, "wechat", "web"):
        yield made


@pytest.fixture(scope="module")
def front(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    require(find_nginx)
    nginx = NginxServer(tmp_path_factory.mktemp("nginx"), stack.ports["web"])
    nginx.start()
    yield Front(nginx)
    nginx.stop()


@pytest.fixture(scope="module")
def token(stack: Stack) -> str:
    phone = Phone(stack)
    assert phone.login().status == 200
    made: str = phone.data["access_token"]
    return made


def ask(front: Front, path: str, *fields: str) -> Answer:
    """Ask once by way of nginx."""
    phone = front.phone()
    try:
        return phone.ask(path, *fields).answer()
    finally:
        phone.socket.close()


def rename(front: Front, token: str, *fields: str) -> Answer:
    """Write once by way of nginx."""
    lines = [f"Authorization: Bearer {token}", "Content-Type: application/json"]
    body = '{"nickname": "x"}'
    lines += [f"Content-Length: {len(body)}", *fields]
    head = f"PATCH {ME} HTTP/1.1\r\n".encode() + FIELD
    phone = front.phone()
    try:
        return phone.send(head + "\r\n".join([*lines, "", body]).encode()).answer()
    finally:
        phone.socket.close()


@pytest.mark.parametrize(
    ("path", "status"), [("/api/hello", 200), ("/nope", 404), (ME, 401)]
)
def test_safety_headers_come_once(front: Front, path: str, status: int) -> None:
    phone = front.phone().ask(path, "Connection: close")
    head = phone.rest().decode("latin-1").partition("\r\n\r\n")[0].split("\r\n")
    phone.socket.close()

    assert head[0].split()[1] == str(status)
    for name, value in EACH_ONCE.items():
        told = [line for line in head if line.lower().startswith(f"{name.lower()}:")]
        assert told == [f"{name}: {value}"]


def test_who_comes_without_tls_is_not_told_to_use_it(stack: Stack) -> None:
    direct = call("GET", f"{stack.url('web')}/api/hello", headers={"Host": HOST})

    assert direct.status == 200
    assert "Strict-Transport-Security" not in direct.headers


def test_only_our_own_name_is_answered(front: Front) -> None:
    for field in (b"Host: evil.cn\r\n", FIELD.replace(b"api", b"evil")):
        phone = front.phone().send(b"GET /api/hello HTTP/1.1\r\n" + field + b"\r\n")
        answer = phone.answer()
        phone.socket.close()

        assert answer.status == 400
        assert answer.echo["errors"][0]["field"] == "Host"


def test_nobody_escapes_a_limit_by_telling_another_address(
    front: Front, stack: Stack
) -> None:
    phone = Phone(stack)
    assert phone.login().status == 200
    token = phone.data["access_token"]
    lies = [
        [f"X-Forwarded-For: {lie}", f"X-Real-IP: {lie}", f"Forwarded: for={lie}"]
        for lie in (f"203.0.113.{n}" for n in range(5))
    ]

    answers = [rename(front, token, *lie) for lie in lies]

    assert [a.status for a in answers] == [200, 200, 429, 429, 429]
    assert answers[-1].echo["reason"] == "rate_limited"


ONE_PLACE = {
    "a /64": [
        *("2001:db8:7:1::1", "2001:db8:7:1:ffff::2", "2001:DB8:7:1:9:9:9:9"),
        "[2001:db8:7:1::3]:4711",
    ],
    "an IPv4": ["192.0.2.44", "::ffff:192.0.2.44", "192.0.2.44:4711", " 192.0.2.44"],
    "lies on the left": [f"9.9.9.{n}, 192.0.2.45" for n in range(4)],
}


@pytest.mark.parametrize("places", ONE_PLACE.values(), ids=ONE_PLACE)
def test_one_place_is_one_bucket_however_it_is_written(
    stack: Stack, places: list[str]
) -> None:
    phone = Phone(stack)
    assert phone.login().status == 200

    def rename(place: str) -> int:
        # The test plays the proxy: its address is the one believed.
        head = {"Host": HOST, "X-Forwarded-For": place}
        how = {"token": phone.data["access_token"], "body": {"nickname": "x"}}
        return phone.api("PATCH", "/me", headers=head, **how).status

    assert [rename(place) for place in places] == [200, 200, 429, 429]
    assert rename(places[0].replace("7:1:", "7:2:").replace(".4", ".5")) == 200


def test_the_internal_listener_is_out_of_reach(front: Front) -> None:
    for path in ("/metrics", "/readyz", "/docs/", "/admin/v1/queues", "/openapi.json"):
        assert ask(front, path).status == 404


def test_lines_come_as_they_are_written(front: Front, token: str) -> None:
    phone = front.phone().ask(
        "/api/v1/events",
        f"Authorization: Bearer {token}",
        "Accept: application/x-ndjson",
    )
    head = phone._until(b"\r\n\r\n")

    # A proxy that gathers would need hundreds of them before it passed on the first.
    beats: list[dict[str, Any]] = []
    while len(beats) < 3:
        size = int(phone._until(b"\r\n"), 16)
        assert size, "the stream has ended"
        beats += map(json.loads, phone._exactly(size).splitlines())
        phone._until(b"\r\n")
    phone.socket.close()

    assert b"200 OK" in head
    assert {beat["type"] for beat in beats} == {"heartbeat"}


ODD_TOKENS = {
    "none": [],
    "two equal": ["Authorization: Bearer {}", "Authorization: Bearer {}"],
    "a good one first": ["Authorization: Bearer {}", "Authorization: Bearer x"],
    "a good one last": ["Authorization: Basic eA==", "authorization: Bearer {}"],
    "two in one": ["Authorization: Bearer {}, Bearer {}"],
    "two blanks": ["Authorization: Bearer  {}"],
    "a tab": ["Authorization: Bearer\t{}"],
    "a blank inside": ["Authorization: Bearer {} x"],
    "a no-break space": ["Authorization: Bearer {}\xa0"],
    "no scheme": ["Authorization: {}"],
    "another field": ["X-Token: {}", "Cookie: token={}", "X-Auth: Bearer {}"],
}


@pytest.mark.parametrize("fields", ODD_TOKENS.values(), ids=ODD_TOKENS)
@pytest.mark.parametrize("way", ["nginx", "direct"])
def test_one_token_in_one_place_or_none(
    front: Front, stack: Stack, token: str, fields: list[str], way: str
) -> None:
    lines = [field.format(token, token) for field in fields]
    text = "\r\n".join([f"GET {ME} HTTP/1.1", f"Host: {HOST}", *lines, "", ""])
    phone = front.phone() if way == "nginx" else PlainPhone(stack.ports["web"])

    answer = phone.send(text.encode("latin-1")).answer()
    phone.socket.close()

    # A newer nginx refuses the doubled field itself.
    assert answer.status in ({400, 401} if way == "nginx" else {401})


@pytest.mark.parametrize("name", ["access_token", "token", "jwt", "Authorization"])
def test_a_token_in_the_query_is_refused_and_never_logged(
    front: Front, stack: Stack, token: str, name: str
) -> None:
    good = f"Authorization: Bearer {token}"
    query = f"?{name}={token}"
    assert ask(front, ME, good).status == 200

    assert ask(front, ME + query).status == 401
    assert ask(front, ME + query, good).status == 400
    assert ask(front, "/api/v1/events" + query, good).status == 400
    assert ask(front, "/nope" + query).status == 404
    assert ask(front, "/" + token).status == 404

    written = front.nginx.log() + (stack.folder / "web.log").read_text()
    assert written.count('"status":400') >= 2
    assert token not in written
    assert token.rpartition(".")[2] not in written
