"""Every body in the document is shown by an example that fits what it shows."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from openapi_schema_validator import OAS31Validator

from web.app import PUBLIC_ROUTES
from web.openapi.document import build_document
from web.openapi.example_values import BY_NAME
from web.openapi.examples import example_of
from web.ops_app import ADMIN_ROUTES
from web.validation import check_form, read_struct

if TYPE_CHECKING:
    from collections.abc import Iterator

ROUTES = (*PUBLIC_ROUTES, *ADMIN_ROUTES)
DOCUMENT = build_document(ROUTES, title="Kuaida", version="1")
PARTS = DOCUMENT["components"]
# Tokens, openids and keys as they really look.
REAL = re.compile(r"eyJ|\bo[A-Za-z0-9_-]{27}\b|\b[0-9a-f]{64}\b|\b1[3-9][0-9]{9}\b")


def bodies() -> Iterator[Any]:
    """Yield each body of each route: where it stands, and how it is described."""
    for path, methods in DOCUMENT["paths"].items():
        for method, told in methods.items():
            if method == "servers":
                continue
            name = f"{method} {path}"
            answers = {f"{name} {status}": told["responses"][status]["content"]
                       for status in told["responses"]}  # fmt: skip
            asked = told.get("requestBody", {}).get("content", {})
            for place, content in {f"{name} asked": asked, **answers}.items():
                for kind, body in content.items():
                    yield pytest.param(body, id=f"{place} {kind}")


def examples_of(body: dict[str, Any]) -> list[Any]:
    if "example" in body:
        return [body["example"]]
    found = body["examples"].values()
    named = [PARTS["examples"][one["$ref"].rpartition("/")[2]] if "$ref" in one else one
             for one in found]  # fmt: skip
    return [one["value"] for one in named]


@pytest.mark.parametrize("body", list(bodies()))
def test_every_body_has_examples_that_fit_its_schema(body: dict[str, Any]) -> None:
    told = examples_of(body)

    assert told
    check = OAS31Validator({**body["schema"], "components": PARTS})
    for example in told:
        assert list(check.iter_errors(example)) == []


@pytest.mark.parametrize(
    "route", [r for r in ROUTES if r.body is not None], ids=lambda route: route.name
)
def test_what_is_shown_as_a_body_is_taken_as_one(route: Any) -> None:
    for form in route.spec.forms or (None,):
        shown = example_of(route.body.__name__, PARTS["schemas"], form)
        read_struct(route.body, shown)
        if form:
            check_form(shown, route.spec.forms)


def test_no_example_is_anybodys() -> None:
    assert not REAL.findall(json.dumps([BY_NAME, PARTS["examples"]]))


def test_no_value_is_of_a_field_that_is_gone() -> None:
    named = {
        (owner, field)
        for owner, schema in PARTS["schemas"].items()
        for field in schema.get("properties", {})
    }
    known = {f"{owner}.{field}" for owner, field in named} | {f for _, f in named}
    envelope = {"request_id", "server_time"}

    assert {name.removesuffix("[]") for name in BY_NAME} - known - envelope == set()


def test_a_text_without_an_example_is_named() -> None:
    schemas = {"Thing": {"properties": {"unheard_of": {"type": "string"}}}}

    with pytest.raises(LookupError, match=r"Thing\.unheard_of"):
        example_of("Thing", schemas)
