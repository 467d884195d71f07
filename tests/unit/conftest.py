"""The unit tier: no network at all, so nothing here can wait or find a server."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _no_network(socket_disabled: None) -> None:
    """Fail any test of this tier that opens an Internet socket."""
