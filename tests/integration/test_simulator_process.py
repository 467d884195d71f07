"""The simulator as `make run` starts it: a process, real sockets, real pushes."""

from __future__ import annotations

import json
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from config.clock import Deadline, monotonic
from config.settings import Settings, load_settings
from tests.servers.http import call
from tests.servers.process import LocalProcess, free_port, port_answers, wait_until
from tests.servers.wechat import WeChatControl
from tests.unit.wechat.doubles import MemoryShare, MemoryTokens
from wechat.client import SubscribeMessage
from wechat.errors import UserState, WeChatLied, WeChatTimeout, WeChatUnreachable
from wechat.gateway import Gateway, open_gateway
from wechat.push import PushCipher, push_signature_matches

ROOT = Path(__file__).parents[2]
LOGIN = "/sns/jscode2session"
SEND = "/cgi-bin/message/subscribe/send"
APP_ID = "wxdemo0000000001"
PUSH_TOKEN = "pushtoken"
AES_KEY = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"
TEMPLATE = "demo_marketing_news"


class Backend(ThreadingHTTPServer):
    """Stands where our push route will be; fails the first ``failures`` pushes."""

    def __init__(self, port: int) -> None:
        super().__init__(("127.0.0.1", port), Receiver)
        self.failures = 0
        self.got: list[tuple[str, bytes]] = []


class Receiver(BaseHTTPRequestHandler):
    """Notes a push and answers as WeChat expects."""

    server: Backend

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.got.append((self.path, body))
        failed = len(self.server.got) <= self.server.failures
        self.send_response(500 if failed else 200)
        self.send_header("Content-Length", "7")
        self.end_headers()
        self.wfile.write(b"success")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing: the base class would write to standard error."""


class Place:
    """One simulator process, its control API and a gateway that talks to it."""

    def __init__(self, folder: Path, backend_port: int) -> None:
        self.port = free_port()
        app = {
            "app_id": APP_ID,
            "secret": "process-secret",
            "push_token": PUSH_TOKEN,
            "encoding_aes_key": AES_KEY,
        }
        self.environment = {
            "KUAIDA_ENV": "test",
            "VAR_DIR": str(folder / "var"),
            "SIM_PORT": str(self.port),
            "WEB_PORT": str(backend_port),
            "WECHAT_APPS": json.dumps([app]),
            "PYTHONPATH": str(ROOT),
            "WECHAT_CONNECT_TIMEOUT_S": "30",
            "WECHAT_READ_TIMEOUT_S": "60",
        }
        self.base = f"http://127.0.0.1:{self.port}"
        self.control = WeChatControl(self.base)
        command = [sys.executable, "-m", "wechat.simulator"]
        self.process = LocalProcess(
            command, log=folder / "sim.log", env=self.environment, cwd=folder
        )
        self.access_tokens = MemoryTokens()
        self.shut_paths = MemoryShare()
        self.gateways: list[Gateway] = []

    def start(self) -> None:
        self.process.start()
        self.process.wait_ready(lambda: port_answers(self.port), within_s=120)

    def gateway(self) -> Gateway:
        settings: Settings = load_settings(self.environment, env_file=None)
        self.gateways.append(open_gateway(settings, self))
        return self.gateways[-1]

    def leave(self) -> None:
        while self.gateways:
            self.gateways.pop().close()

    def code(self, openid: str = "o-1") -> str:
        self.control.user(openid=openid)
        return self.control.code(openid)


@pytest.fixture(scope="module")
def backend() -> Iterator[Backend]:
    server = Backend(0)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(scope="module")
def running(tmp_path_factory, backend: Backend) -> Iterator[Place]:
    place = Place(tmp_path_factory.mktemp("sim"), backend.server_port)
    place.start()
    yield place
    place.process.stop()


@pytest.fixture
def place(running: Place, backend: Backend) -> Iterator[Place]:
    """The running simulator, emptied."""
    assert call("POST", f"{running.base}/_sim/reset").json == {"ok": True}
    running.access_tokens = MemoryTokens()
    backend.got.clear()
    backend.failures = 0
    yield running
    running.leave()


def soon(milliseconds: float = 60_000) -> Deadline:
    return Deadline.after_ms(milliseconds)


def test_a_login_travels_over_the_wire(place) -> None:
    session = place.gateway().code2session(APP_ID, place.code(), deadline=soon())

    assert session.openid == "o-1"
    assert place.control.calls(LOGIN) == 1


def test_login_answers_are_labelled_as_text_and_refusals_are_http_200(place) -> None:
    answer = call("GET", f"{place.base}{LOGIN}?appid={APP_ID}")

    assert answer.status == 200
    assert answer.headers["Content-Type"] == "text/plain"
    assert answer.json["errcode"] == 41004


@pytest.mark.parametrize(
    ("mode", "error"),
    [
        ("reset", WeChatUnreachable),
        ("accept_then_reset", WeChatUnreachable),
        ("stall", WeChatTimeout),
        ("accept_then_stall", WeChatTimeout),
        ("half_json", WeChatLied),
        ("http500", WeChatLied),
    ],
)
def test_each_fault_reaches_the_client_as_its_error(place, mode, error) -> None:
    code = place.code()
    place.control.fault(LOGIN, mode)

    with pytest.raises(error):
        place.gateway().code2session(
            APP_ID, code, deadline=soon(1500 if "stall" in mode else 60_000)
        )


def run_out_of_time(gateway: Gateway, code: str) -> None:
    with pytest.raises(WeChatTimeout):
        gateway.code2session(APP_ID, code, deadline=soon(8000))


def test_a_stalled_call_holds_up_nobody_else(place) -> None:
    gateway = place.gateway()
    first, second = place.code("o-1"), place.code("o-2")
    place.control.fault(LOGIN, "stall", times=1)
    stalled = threading.Thread(target=run_out_of_time, args=(gateway, first))
    stalled.start()
    wait_until(lambda: place.control.calls(LOGIN), within_s=60, what="first call")

    assert gateway.code2session(APP_ID, second, deadline=soon()).openid == "o-2"

    assert stalled.is_alive()
    stalled.join()


def test_a_delay_delays_only_its_own_call(place) -> None:
    gateway, code = place.gateway(), place.code()
    place.control.fault(LOGIN, "delay", delay_ms=200, times=1)
    started = monotonic()

    assert gateway.code2session(APP_ID, code, deadline=soon()).openid == "o-1"

    assert monotonic() - started >= 0.2


def grant(place: Place, openid: str) -> None:
    body = {"openid": openid, "template_id": TEMPLATE, "result": "accept"}
    assert call("POST", f"{place.base}/_sim/subscribe", body=body).status == 200


def message(openid: str) -> SubscribeMessage:
    data = {"thing1": "新品上架", "date2": "2026-01-02"}
    return SubscribeMessage(openid, TEMPLATE, data, page="pages/news/index")


def test_a_message_and_its_events_arrive_at_the_backend(place, backend) -> None:
    place.code("o-1")
    backend.failures = 1
    grant(place, "o-1")
    client = place.gateway().client(APP_ID)

    message_id = client.send_subscribe_message(message("o-1"), deadline=soon())

    wait_until(lambda: len(backend.got) >= 3, within_s=60, what="two pushes, one twice")
    events = [opened(*push) for push in backend.got]
    kinds = [event["Event"] for event in events]
    assert kinds.count("subscribe_msg_popup_event") + kinds.count(
        "subscribe_msg_sent_event"
    ) == len(kinds)
    sent = next(e for e in events if e["Event"] == "subscribe_msg_sent_event")
    assert sent["List"]["MsgID"] == message_id
    with pytest.raises(UserState):
        client.send_subscribe_message(message("o-1"), deadline=soon())


def opened(target: str, body: bytes) -> dict[str, Any]:
    """Check a push as our callback route will, and open it."""
    path, _, text = target.partition("?")
    query = dict(part.split("=", 1) for part in text.split("&"))
    encrypted = json.loads(body)["Encrypt"]
    assert path == f"/wechat/push/{APP_ID}"
    assert push_signature_matches(
        query["msg_signature"],
        token=PUSH_TOKEN,
        timestamp=query["timestamp"],
        nonce=query["nonce"],
        encrypted=encrypted,
    )
    found: dict[str, Any] = json.loads(PushCipher(AES_KEY, APP_ID).decrypt(encrypted))
    return found


def test_a_message_taken_and_not_confirmed_stands_in_the_arrivals_log(place) -> None:
    place.code("o-1")
    grant(place, "o-1")
    place.control.fault(SEND, "accept_then_reset", times=1)
    client = place.gateway().client(APP_ID)

    with pytest.raises(WeChatUnreachable) as caught:
        client.send_subscribe_message(message("o-1"), deadline=soon())

    assert caught.value.sent
    items = call("GET", f"{place.base}/_sim/deliveries?openid=o-1").json["items"]
    assert [item["outcome"] for item in items] == ["delivered"]
    assert set(items[0]) == {
        *("at", "openid", "template_id", "body", "outcome", "errcode", "msgid")
    }


def test_time_travel_expires_codes(place) -> None:
    code = place.code()
    place.control.advance(301)

    answer = call(
        "GET",
        f"{place.base}{LOGIN}?appid={APP_ID}&secret=process-secret&js_code={code}"
        "&grant_type=authorization_code",
    )

    assert answer.json["errcode"] == 40029


def test_bad_control_input_is_a_400_in_clear_words(place) -> None:
    answer = call("POST", f"{place.base}/_sim/codes", body={"openid": "nobody"})

    assert answer.status == 400
    assert "POST /_sim/users" in answer.json["error"]


def test_a_huge_body_is_refused_and_the_server_lives(place) -> None:
    head = b"POST /_sim/users HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n"
    with socket.create_connection(("127.0.0.1", place.port), 60) as peer:
        peer.sendall(head)
        with suppress(OSError):
            for _ in range(200):
                peer.sendall(b"x" * 65536)

    assert place.control.calls(LOGIN) == 0


@pytest.mark.parametrize(
    "junk", [b"\x00\x01\x02", b"GET\r\n\r\n", b"PRI * HTTP/2.0\r\n"]
)
def test_what_is_not_http_ends_the_connection_only(place, junk) -> None:
    with socket.create_connection(("127.0.0.1", place.port), 60) as peer:
        peer.sendall(junk + b"\r\n\r\n")
        peer.settimeout(60)
        with suppress(ConnectionResetError):
            assert b"200" not in peer.recv(1000)

    assert place.control.calls(LOGIN) == 0


def test_pipelined_requests_are_answered_in_order(place) -> None:
    place.control.fault("/first", "delay", delay_ms=100)
    paths = ("/first", "/_sim/calls")
    with socket.create_connection(("127.0.0.1", place.port), 60) as peer:
        peer.sendall(b"".join(b"GET %b HTTP/1.1\r\n\r\n" % p.encode() for p in paths))
        peer.settimeout(60)
        data = b""
        while b'"calls"' not in data:
            data += peer.recv(4096)

    assert data.index(b"404") < data.index(b'"calls"')


def test_a_stop_signal_ends_it_at_once_and_cleanly(tmp_path) -> None:
    place = Place(tmp_path, free_port())
    place.start()
    place.process.signal(signal.SIGTERM)

    wait_until(lambda: not place.process.alive, within_s=60, what="end")
    assert place.process.returncode == 0
    written = {p.name for p in tmp_path.rglob("*") if p.is_file()}
    assert "sim.log" in written
    lines = [json.loads(x) for x in place.process.log.read_text().splitlines()]
    assert [line["event"] for line in lines] == ["simulator ready", "simulator stopped"]


def test_a_busy_port_is_one_clear_line(running: Place, tmp_path) -> None:
    second = LocalProcess(
        running.process.command,
        log=tmp_path / "second.log",
        env=running.environment,
        cwd=tmp_path,
    )
    second.start()

    wait_until(lambda: not second.alive, within_s=60, what="end")
    assert second.returncode == 1
    assert second.tail().startswith("simulator: ")
    assert len(second.tail().splitlines()) == 1
