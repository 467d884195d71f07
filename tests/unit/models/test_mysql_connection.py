"""Our connection to MySQL and MariaDB, as far as it needs no server."""

from __future__ import annotations

import ssl

from models.mysql_connection import PatientConnection


def test_connections_without_certificates_share_what_tls_needs() -> None:
    first, second = (PatientConnection(defer_connect=True) for _ in range(2))

    assert first.ctx is second.ctx
    assert first.ctx.verify_mode is ssl.CERT_NONE


def test_certificates_that_are_named_are_used() -> None:
    named = {"ca": ssl.get_default_verify_paths().cafile, "verify_mode": True}
    loose = PatientConnection(defer_connect=True)

    made = loose._create_ssl_ctx(named)

    assert made is not loose.ctx
    assert made.verify_mode is ssl.CERT_REQUIRED
