"""The document is valid and says what is served."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from models.quota import Quota
from models.stores.admission import Admission
from web.app import PUBLIC_ROUTES
from web.errors import FIELD_TEXTS_ZH, PROBLEMS
from web.openapi.document import build_document
from web.openapi.reasons import reasons_of
from web.ops_app import ADMIN_ROUTES, create_ops_app
from web.routes import Auth

if TYPE_CHECKING:
    from flask import Flask
    from flask.testing import FlaskClient

    from config.settings import Settings
    from tests.unit.web.seams import House

DOCUMENT = build_document(PUBLIC_ROUTES, title="Kuaida", version="1")
CHINESE = re.compile(r"[\u4e00-\u9fff]")


def operations() -> dict[str, dict[str, Any]]:
    return {
        f"{method.upper()} {path}": operation
        for path, methods in DOCUMENT["paths"].items()
        for method, operation in methods.items()
        if method != "servers"
    }


def test_the_document_is_valid() -> None:
    OpenAPIV31SpecValidator(DOCUMENT).validate()


def test_every_route_is_described_and_every_description_served(app: Flask) -> None:
    served = {
        f"{method} {rule.rule}".replace("<", "{").replace(">", "}")
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD"}
    }
    assert served == set(operations())


def test_only_these_routes_are_public() -> None:
    public = {route.path for route in PUBLIC_ROUTES if route.spec.auth is Auth.PUBLIC}
    assert public == {
        "/api/hello",
        "/healthz",
        "/api/v1/auth/guest",
        "/api/v1/auth/login",
        "/api/v1/auth/refresh",
    }


def test_security_follows_the_declaration() -> None:
    found = operations()
    assert found["GET /api/v1/me"]["security"] == [{"bearer": []}]
    assert found["GET /api/hello"]["security"] == []


def test_admin_routes_stand_beside_with_a_lock_of_their_own() -> None:
    routes = (*PUBLIC_ROUTES, *ADMIN_ROUTES)
    document = build_document(routes, title="Kuaida", version="1")

    OpenAPIV31SpecValidator(document).validate()
    replay = document["paths"]["/admin/v1/outbox/{row_id}/replay"]["post"]
    assert replay["security"] == [{"admin": []}]
    assert "token_expired" not in replay["responses"]["401"]["description"]
    assert set(document["components"]["securitySchemes"]) == {"bearer", "admin"}


def test_error_answers_name_their_reasons() -> None:
    login = operations()["POST /api/v1/auth/login"]["responses"]
    assert "login_code_invalid" in login["400"]["description"]
    assert "Retry-After" in login["429"]["headers"]
    assert "token_missing" not in login["401"]["description"]
    assert "415" in login
    assert "Allow" in login["405"]["headers"]
    hello = operations()["GET /api/hello"]["responses"]
    assert "429" not in hello
    assert "415" not in hello


def test_every_write_tells_what_its_key_is_for() -> None:
    for name, operation in operations().items():
        keys = [p for p in operation["parameters"] if p["name"] == "Idempotency-Key"]
        assert len(keys) == (not name.startswith("GET")), name
        if "/auth/" in name and "logout" not in name:
            assert "no answer is kept" in keys[0]["description"]


def test_all_that_was_counted_may_tell_the_limits(
    client: FlaskClient, house: House, signed_in: dict[str, str]
) -> None:
    me = operations()["PATCH /api/v1/me"]["responses"]
    house.admission.admission = Admission("revoked", quota=Quota(5, 4, 1))
    revoked = client.patch("/api/v1/me", json={}, headers=signed_in)
    house.admission.admission = Admission("live", quota=Quota(5, 4, 1))
    unknown = client.patch("/api/v1/me", json={"a": 1}, headers=signed_in)
    refused = client.post("/api/v1/me", json={}, headers=signed_in)

    told = {str(answer.status_code): answer for answer in (revoked, unknown, refused)}
    assert set(told) == {"401", "400", "405"}
    for status, answer in told.items():
        for name in ("RateLimit-Limit", "Allow", "WWW-Authenticate"):
            assert (name in answer.headers) == (name in me[status]["headers"]), name


def test_what_is_served_past_the_declarations_is_described(settings: Settings) -> None:
    app = create_ops_app(settings)
    document = app.test_client().get("/openapi.json").get_json()
    served = {
        rule.rule
        for rule in app.url_map.iter_rules()
        if "GET" in (rule.methods or ()) and "path:" not in rule.rule
    }

    OpenAPIV31SpecValidator(document).validate()
    described = {re.sub(r"{(\w+)}", r"<\1>", path) for path in document["paths"]}
    assert served <= described
    for path in ("/readyz", "/metrics", "/docs", "/openapi.json", "/admin/v1/queues"):
        assert "internal" in document["paths"][path]["servers"][0]["description"]
        assert "405" in document["paths"][path]["get"]["responses"]
    assert "servers" not in document["paths"]["/api/v1/me"]


def test_a_file_is_described_without_the_envelope() -> None:
    answer = operations()["GET /api/v1/operations/{operation_id}/file"]["responses"]
    content = answer["200"]["content"]["application/json"]
    assert content["schema"] == {"$ref": "#/components/schemas/ExportDocument"}
    assert "Content-Disposition" in answer["200"]["headers"]


@pytest.mark.parametrize("route", PUBLIC_ROUTES, ids=lambda route: route.name)
def test_reasons_stand_in_the_table(route: Any) -> None:
    assert set(route.spec.reasons) <= set(PROBLEMS)
    assert reasons_of(route)


def test_schemas_forbid_unknown_body_fields() -> None:
    schemas = DOCUMENT["components"]["schemas"]
    for name in (
        "LoginBody",
        "DeviceBody",
        "RefreshBody",
        "LogoutBody",
        "ProfilePatch",
    ):
        assert schemas[name]["additionalProperties"] is False


@pytest.mark.parametrize("reason", PROBLEMS)
def test_codes_begin_with_the_status(reason: str) -> None:
    problem = PROBLEMS[reason]
    assert problem.code == 401 or problem.code // 100 == problem.status
    assert (problem.code == 401) == (problem.status == 401)
    actions = "refresh relogin wait retry bind_phone upgrade resync none"
    assert problem.action in actions.split()
    assert CHINESE.search(problem.zh)
    assert problem.en.isascii()


def test_codes_differ_except_401() -> None:
    codes = [problem.code for problem in PROBLEMS.values() if problem.code != 401]
    assert len(codes) == len(set(codes))


def test_field_reasons_have_chinese_words() -> None:
    assert all(CHINESE.search(words) for words in FIELD_TEXTS_ZH.values())
