"""The OpenAPI document and live answers agree under fuzzing: schemathesis."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.servers.house import House

# Thousands of requests; a busy machine needs longer for them than for a story.
pytestmark = pytest.mark.timeout(500)

CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,"
    "response_headers_conformance,response_schema_conformance"
)
EXAMPLES = 60
PATIENCE_MS = 4000
LOGOUT = "/api/v1/auth/logout"
# What only the internal listener serves; the document says so by its servers.
INTERNAL = r"^/(admin/|readyz|metrics|docs|openapi)"


def test_document_is_openapi_3_1(house: House) -> None:
    document = house.ops("/openapi.json").json

    assert document["openapi"].startswith("3.1")
    assert "/api/v1/auth/login" in document["paths"]


@pytest.mark.parametrize("which", ["--exclude-path", "--include-path"])
def test_fuzzed_answers_match_the_document(
    house: House, tmp_path: Path, which: str
) -> None:
    # Logout ends the session, so it is fuzzed apart; the rest keeps its login.
    token = house.login().data["access_token"]

    chosen = (which, LOGOUT, "--exclude-path-regex", INTERNAL)
    fuzz(house, tmp_path, house.url("web"), token, *chosen)


def test_fuzzed_internal_answers_match_the_document(
    house: House, tmp_path: Path
) -> None:
    token = house.secret("admin_token")

    fuzz(house, tmp_path, house.url("ops"), token, "--include-path-regex", INTERNAL)


def fuzz(house: House, folder: Path, url: str, token: str, *chosen: str) -> None:
    """Send odd requests to the ``chosen`` routes behind ``url``."""
    document = folder / "openapi.json"
    document.write_bytes(house.ops("/openapi.json").body)
    command = [
        str(Path(sys.executable).with_name("schemathesis")),
        *("run", str(document), "--url", url),
        *("--header", f"Authorization: Bearer {token}"),
        # An honest 503 for a tenth of a second on a busy machine is no server error.
        *("--header", f"X-Timeout-Ms: {PATIENCE_MS}"),
        *("--checks", CHECKS, "--max-examples", str(EXAMPLES)),
        *("--phases", "examples,coverage,fuzzing", "--no-color"),
        *("--max-response-time", "5", "--seed", "1", *chosen),
    ]

    done = subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=folder
    )

    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
