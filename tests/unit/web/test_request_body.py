"""Bodies of the wrong type, size or speed."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import pytest
from flask import request
from werkzeug.exceptions import RequestEntityTooLarge, UnsupportedMediaType

from config.clock import sleep
from models.errors import InvalidInput
from web.request_body import BodyTimeout, read_body, read_optional_body

if TYPE_CHECKING:
    from flask import Flask

    from config.settings import Settings

LIMIT = 100


def environ(body: bytes, **extra: Any) -> dict[str, Any]:
    return {
        "CONTENT_TYPE": "application/json",
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.input": io.BytesIO(body),
        **extra,
    }


def read(given: dict[str, Any], seconds: float = 10) -> bytes:
    return read_body(given, limit=LIMIT, seconds=seconds)


def test_reads_a_declared_body() -> None:
    assert read(environ(b'{"a":1}')) == b'{"a":1}'


def test_reads_a_chunked_body() -> None:
    request = environ(b"{}", CONTENT_LENGTH="", HTTP_TRANSFER_ENCODING="chunked")
    assert read(request) == b"{}"


def test_a_body_without_length_is_empty() -> None:
    assert read(environ(b"ignored", CONTENT_LENGTH="")) == b""


@pytest.mark.parametrize(
    "extra",
    [
        {"CONTENT_LENGTH": "101"},
        {"CONTENT_LENGTH": "9" * 30},
        {"CONTENT_LENGTH": "-1"},
        {"CONTENT_LENGTH": "", "HTTP_TRANSFER_ENCODING": "chunked"},
        {"CONTENT_LENGTH": "", "wsgi.input_terminated": True},
    ],
)
def test_refuses_large_bodies_before_parsing(extra: dict[str, Any]) -> None:
    with pytest.raises(RequestEntityTooLarge):
        read(environ(b"x" * 101, **extra))


def test_a_large_declared_body_is_not_read_at_all() -> None:
    request = environ(b"x" * 101)
    with pytest.raises(RequestEntityTooLarge):
        read(request)
    assert request["wsgi.input"].tell() == 0


@pytest.mark.parametrize(
    "content_type",
    [
        "",
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/jsonx",
        "application/json; charset=gbk",
        "multipart/form-data; boundary=x",
    ],
)
def test_refuses_other_types(content_type: str) -> None:
    with pytest.raises(UnsupportedMediaType):
        read(environ(b"{}", CONTENT_TYPE=content_type))


@pytest.mark.parametrize(
    "content_type",
    ["application/json", "Application/JSON", 'application/json; charset="UTF-8"'],
)
def test_accepts_json_types(content_type: str) -> None:
    assert read(environ(b"{}", CONTENT_TYPE=content_type)) == b"{}"


@pytest.mark.parametrize("coding", ["gzip", "br", "identity, gzip", "x"])
def test_refuses_packed_bodies(coding: str) -> None:
    for read_it in (read_body, read_optional_body):
        with pytest.raises(UnsupportedMediaType):
            read_it(
                environ(b"{}", HTTP_CONTENT_ENCODING=coding), limit=LIMIT, seconds=10
            )


def test_takes_a_body_that_says_it_is_not_packed() -> None:
    assert read(environ(b"{}", HTTP_CONTENT_ENCODING="Identity")) == b"{}"


def test_no_body_has_no_coding() -> None:
    given = environ(b"", HTTP_CONTENT_ENCODING="gzip")
    assert read_optional_body(given, limit=LIMIT, seconds=10) == b""


def test_a_client_that_hangs_up_sent_no_json() -> None:
    with pytest.raises(InvalidInput):
        read(environ(b"{}", CONTENT_LENGTH="50"))


class Dripping(io.BytesIO):
    """Gives one byte every 10 ms."""

    def read(self, _size: int | None = -1, /) -> bytes:
        sleep(0.01)
        return super().read(1)


@pytest.mark.usefixtures("clock")
def test_a_dripping_body_is_given_up() -> None:
    request = environ(b"x" * 50)
    request["wsgi.input"] = Dripping(b"x" * 50)
    with pytest.raises(BodyTimeout):
        read(request, seconds=0.05)
    assert request["wsgi.input"].tell() < 10


class Broken(io.BytesIO):
    def read(self, _size: int | None = -1, /) -> bytes:
        raise ConnectionResetError


def test_a_reset_connection_is_the_clients_fault() -> None:
    request = environ(b"{}")
    request["wsgi.input"] = Broken()
    with pytest.raises(InvalidInput):
        read(request)


def test_forms_that_nobody_reads_are_bounded_all_the_same(
    app: Flask, settings: Settings
) -> None:
    parts = {f"field{number}": "x" for number in range(21)}
    form = app.test_request_context(
        method="POST", data=parts, content_type="multipart/form-data"
    )

    with form, pytest.raises(RequestEntityTooLarge):
        _ = request.form
    assert app.config["MAX_FORM_MEMORY_SIZE"] == settings.http.body_limit
