"""Each route asks who is calling, or stands on the public list; limits likewise."""

from __future__ import annotations

import inspect
import re
from typing import TYPE_CHECKING

from web.app import PUBLIC_ROUTES, create_app
from web.ops_app import OPS_ROUTES, create_ops_app
from web.ops_guard import ADMIN_PREFIX
from web.routes import Auth, Limit

if TYPE_CHECKING:
    from flask import Flask

    from config.settings import Settings

# Whoever adds a line here says in the review why a stranger may call it.
PUBLIC = {
    ("GET", "/api/hello"),
    ("GET", "/healthz"),
    # Whoever calls it gets nothing but a new, empty account.
    ("POST", "/api/v1/auth/guest"),
    ("POST", "/api/v1/auth/login"),
    ("POST", "/api/v1/auth/refresh"),
}
# Open on the internal listener only: scrapers, probes and readers have no token.
OPEN_INSIDE = re.compile(r"/(metrics|readyz|healthz|openapi\.json|docs(/.*)?)$")
UNLIMITED = {("GET", "/api/hello"), ("GET", "/healthz")}


# Writes that keep no answer under an Idempotency-Key; each says what makes its
# repetition harmless (`Spec.repeated`).
REPEATED_AS_THEY_ARE = {
    ("POST", "/api/v1/auth/guest"),
    ("POST", "/api/v1/auth/login"),
    ("POST", "/api/v1/auth/refresh"),
}


def rules(app: Flask) -> set[tuple[str, str]]:
    """Return every (method, path) the app answers; HEAD comes along with GET."""
    return {
        (method, rule.rule)
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD"}
    }


def filled(path: str) -> str:
    """Return a path with something in the place of its variables."""
    return re.sub(r"<[^>]+>", "x", path)


def test_every_public_route_is_on_the_list() -> None:
    open_routes = {
        (r.method, r.path) for r in PUBLIC_ROUTES if r.spec.auth is Auth.PUBLIC
    }

    assert open_routes == PUBLIC


def test_no_route_is_served_past_the_declarations(settings: Settings) -> None:
    declared = {(route.method, route.path) for route in PUBLIC_ROUTES}

    assert rules(create_app(settings)) == declared


def test_strangers_get_401_everywhere_else(settings: Settings) -> None:
    client = create_app(settings).test_client()
    let_in = [
        (route.method, route.path, answer.status_code)
        for route in PUBLIC_ROUTES
        if (route.method, route.path) not in PUBLIC
        for answer in [client.open(filled(route.path), method=route.method, json={})]
        if (answer.status_code, answer.get_json()["reason"]) != (401, "token_missing")
    ]

    assert let_in == []


def test_internal_routes_ask_for_the_admin_token(settings: Settings) -> None:
    app = create_ops_app(settings)
    client = app.test_client()
    let_in = [
        (method, path)
        for method, path in sorted(rules(app))
        if not OPEN_INSIDE.match(path)
        and client.open(filled(path), method=method).status_code != 401
    ]

    assert let_in == []


def test_admin_routes_are_never_public() -> None:
    inside = [r.path for r in PUBLIC_ROUTES if r.path.startswith("/admin")]

    assert inside == []
    assert {route.path for route in OPS_ROUTES} & {"/api/v1/auth/login"} == set()


def test_internal_routes_are_declared_with_the_admin_lock() -> None:
    behind = [route for route in OPS_ROUTES if route.path.startswith(ADMIN_PREFIX)]

    assert behind
    assert {(r.spec.auth, r.spec.limit) for r in behind} == {(Auth.ADMIN, Limit.NONE)}
    assert all(not OPEN_INSIDE.match(route.path) for route in behind)


def test_every_route_with_work_behind_it_has_a_limit() -> None:
    unlimited = {
        (route.method, route.path)
        for route in PUBLIC_ROUTES
        if route.spec.limit is Limit.NONE
    }

    assert unlimited == UNLIMITED


def test_writes_are_limited_as_writes() -> None:
    lenient = [
        (route.method, route.path)
        for route in PUBLIC_ROUTES
        if route.method != "GET" and route.spec.limit is Limit.READ
    ]

    assert lenient == []


def test_every_write_of_a_user_may_be_repeated() -> None:
    unguarded = {
        (route.method, route.path)
        for route in (*PUBLIC_ROUTES, *OPS_ROUTES)
        if route.writes and not route.spec.idempotent
    }
    explained = {
        (route.method, route.path)
        for route in (*PUBLIC_ROUTES, *OPS_ROUTES)
        if route.spec.repeated
    }

    assert unguarded == explained == REPEATED_AS_THEY_ARE


def test_keys_belong_to_users_and_to_names_that_fit_their_column() -> None:
    keyed = [route for route in PUBLIC_ROUTES if route.spec.idempotent]

    assert {route.spec.auth for route in keyed} == {Auth.USER}
    assert {route.method for route in keyed} & {"GET"} == set()
    assert max(len(f"{route.method} {route.path}") for route in keyed) <= 80


def test_bodies_refuse_fields_nobody_declared() -> None:
    lax = [
        route.path
        for route in (*PUBLIC_ROUTES, *OPS_ROUTES)
        for shape in (route.spec.body, route.spec.query)
        if shape is not None and not shape.__struct_config__.forbid_unknown_fields
    ]

    assert lax == []


def test_every_list_is_given_page_by_page() -> None:
    lists = [
        (route.path, shape.__struct_fields__, route.spec.query)
        for route in (*PUBLIC_ROUTES, *OPS_ROUTES)
        for shape in [route.spec.answer]
        if "items" in shape.__struct_fields__
    ]
    whole = [
        path
        for path, told, query in lists
        if not {"next_cursor", "has_more"} <= set(told)
        or query is None
        or not {"cursor", "limit"} <= set(query.__struct_fields__)
    ]

    assert lists
    assert whole == []


def test_every_answer_under_a_key_commits_with_its_effect() -> None:
    # A view that hands its key to nobody acts first and is told afterwards that the
    # key has had its answer. Decrypting changes nothing, so there that is harmless.
    alone = {
        (r.method, r.path)
        for r in (*PUBLIC_ROUTES, *OPS_ROUTES)
        if r.spec.idempotent and "call.once" not in inspect.getsource(r.handler)
    }

    assert alone == {("POST", "/api/v1/me/decrypt")}
