"""The pool of connections: kept, found stale, bounded, forked, encrypted."""

from __future__ import annotations

import os
import socket
import ssl
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from config.clock import Deadline, now_ms, sleep
from tests.integration.raw_wire import (
    OK,
    Bench,
    Serve,
    Wire,
    always,
    bench,
    gather,
    reset,
    shut,
    slowly,
)
from wechat.errors import (
    PoolExhausted,
    WeChatTimeout,
    WeChatUnreachable,
)
from wechat.transport import Answer, PooledTransport, TransportLimits

ROOT = Path(__file__).parents[2]


def test_a_deadline_that_has_passed_sends_nothing() -> None:
    with bench(always(OK)) as b:
        b.get()
        with pytest.raises(WeChatTimeout) as caught:
            b.get(-1)

        assert caught.value.sent is False
        assert len(b.wire.requests) == 1


@pytest.mark.parametrize("parting", [shut, reset, lambda peer: peer.sendall(b"late")])
def test_a_connection_that_ended_while_idle_is_found_out_before_it_is_used(
    parting,
) -> None:
    def script(wire: Wire) -> Serve:
        def serve(peer: socket.socket) -> None:
            while wire.read(peer):
                peer.sendall(OK)
                sleep(0.02)
                parting(peer)

        return serve

    with bench(script) as b:
        for _ in range(4):
            assert b.get().status == 200
            sleep(0.08)

        assert len(b.wire.requests) == 4
        assert b.wire.connections == 4


def test_a_connection_that_was_idle_for_long_is_not_trusted() -> None:
    with bench(always(OK), idle_s=0.05) as b:
        b.get()
        sleep(0.1)
        b.get()

        assert b.wire.connections == 2


def test_a_second_answer_to_one_request_is_never_somebody_elses() -> None:
    with bench(always(OK + OK)) as b:
        assert [b.get().status for _ in range(2)] == [200, 200]
        assert b.wire.connections == 2


def patiently(b: Bench) -> None:
    with pytest.raises(WeChatTimeout):
        b.get(4000)


def test_a_full_pool_is_a_typed_error_after_its_wait() -> None:
    with bench(always(), pool_size=1) as b:
        first = threading.Thread(target=patiently, args=(b,))
        first.start()
        while not b.wire.requests:
            sleep(0.005)
        with pytest.raises(PoolExhausted) as caught:
            b.get()
        with pytest.raises(WeChatTimeout):
            b.get(20)
        first.join()

        assert caught.value.sent is False


def test_the_pool_never_opens_more_than_its_size() -> None:
    def script(wire: Wire) -> Serve:
        return lambda peer: slowly(wire, peer)

    with bench(script, pool_size=4, pool_wait_s=60.0) as b:
        errors = gather(b, threads=24, calls=4)

        assert errors == []
        assert b.wire.connections <= 4
        assert len(b.wire.requests) == 96


def test_nobody_at_the_port_is_unreachable_and_nothing_was_sent() -> None:
    with bench(always(OK)) as b:
        pass
    with pytest.raises(WeChatUnreachable) as caught:
        b.get()

    assert caught.value.sent is False


def test_a_child_leaves_the_parents_connections_alone() -> None:
    with bench(always(OK)) as b:
        b.get()
        child = os.fork()
        if child == 0:
            # os._exit: the child must not run the parent's test machinery.
            os._exit(0 if b.get().status == 200 else 1)
        _, status = os.waitpid(child, 0)
        b.get()

        assert status == 0
        assert b.wire.connections == 2


@pytest.mark.parametrize(
    "base",
    [
        "http://api.weixin.qq.com",
        "ftp://127.0.0.1",
        "https://",
        "https://a/?x=1",
    ],
)
def test_a_base_that_is_not_ours_to_call_is_refused(base) -> None:
    limits = TransportLimits(1, 1, 1, 1000)
    with pytest.raises(ValueError, match="base"):
        PooledTransport(base, limits, allow_plain=True)


def test_plain_http_needs_leave() -> None:
    limits = TransportLimits(1, 1, 1, 1000)
    with pytest.raises(ValueError, match="https"):
        PooledTransport("http://127.0.0.1:1", limits, allow_plain=False)


def test_a_proxy_in_the_environment_is_ignored(monkeypatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    with bench(always(OK)) as b:
        assert b.get().status == 200


@pytest.fixture(scope="module")
def certificate(tmp_path_factory) -> Path:
    """A self-signed certificate for ``localhost`` with its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    start = datetime.fromtimestamp(now_ms() / 1000, UTC) - timedelta(days=1)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(start)
        .not_valid_after(start + timedelta(days=2))
        .add_extension(
            x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    path: Path = tmp_path_factory.mktemp("tls") / "localhost.pem"
    secret = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    path.write_bytes(made.public_bytes(serialization.Encoding.PEM) + secret)
    return path


def encrypted(certificate: Path, wire: Wire) -> Serve:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    answer = always(OK)(wire)

    def serve(peer: socket.socket) -> None:
        with context.wrap_socket(peer, server_side=True) as tls:
            answer(tls)

    return serve


def over_tls(port: int, host: str) -> PooledTransport:
    limits = TransportLimits(30.0, 2, 0.1, 10_000)
    return PooledTransport(f"https://{host}:{port}", limits, allow_plain=False)


def ask(transport: PooledTransport) -> Answer:
    deadline = Deadline.after_ms(60_000)
    return transport.request("GET", "/p", query={}, body=None, deadline=deadline)


def test_a_trusted_certificate_is_taken_and_the_connection_kept(
    certificate, monkeypatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with bench(lambda wire: encrypted(certificate, wire)) as b:
        transport = over_tls(b.wire.port, "localhost")
        assert {ask(transport).status for _ in range(3)} == {200}
        transport.close()

        assert b.wire.connections == 1


@pytest.mark.parametrize(("host", "trusted"), [("localhost", ""), ("127.0.0.1", "yes")])
def test_an_unknown_certificate_or_another_name_is_refused_before_anything_is_sent(
    certificate, monkeypatch, host, trusted
) -> None:
    if trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with bench(lambda wire: encrypted(certificate, wire)) as b:
        with pytest.raises(WeChatUnreachable) as caught:
            ask(over_tls(b.wire.port, host))

        assert caught.value.sent is False
        assert b.wire.requests == []


GREENLETS = """
from gevent import monkey
monkey.patch_all()
import sys, gevent
from config.clock import Deadline
from wechat.transport import PooledTransport, TransportLimits
transport = PooledTransport(
    f"http://127.0.0.1:{sys.argv[1]}",
    TransportLimits(30, 8, 60, 9999),
    allow_plain=True,
)
def ask():
    deadline = Deadline.after_ms(60_000)
    return transport.request("GET", "/p", query={}, body=None, deadline=deadline)
jobs = [gevent.spawn(ask) for _ in range(64)]
gevent.joinall(jobs, raise_error=True)
assert all(job.value.status == 200 for job in jobs)
"""


def test_greenlets_share_the_pool_and_wait_for_wechat_together() -> None:
    together = threading.Barrier(8)

    def script(wire: Wire) -> Serve:
        def serve(peer: socket.socket) -> None:
            # Nobody is answered before the whole pool has asked.
            together.wait(60)
            slowly(wire, peer, 0.02)

        return serve

    with bench(script) as b:
        command = [sys.executable, "-c", GREENLETS, str(b.wire.port)]
        done = subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
        )

        assert done.returncode == 0, done.stderr
        assert b.wire.connections == 8
