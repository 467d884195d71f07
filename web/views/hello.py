"""Signs of life: a greeting for first steps, a probe for supervisors; no I/O."""

from __future__ import annotations

import msgspec

from web.routes import Auth, Call, Limit, Routes, Spec

ROUTES = Routes("hello", prefix="")


class Greeting(msgspec.Struct):
    """A greeting."""

    message: str


class Health(msgspec.Struct):
    """The process is alive; `/readyz` of the internal listener says more."""

    status: str


@ROUTES.get(
    "/api/hello",
    Spec(summary="Greet", answer=Greeting, auth=Auth.PUBLIC, limit=Limit.NONE),
)
def hello(_: Call) -> Greeting:
    """Greet whoever asks."""
    return Greeting(message="hello from kuaida")


@ROUTES.get(
    "/healthz",
    Spec(summary="Alive?", answer=Health, auth=Auth.PUBLIC, limit=Limit.NONE),
)
def healthz(_: Call) -> Health:
    """Tell that this process answers; looks at nothing else."""
    return Health(status="ok")
