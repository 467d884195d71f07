"""The OpenAPI document and live answers agree under fuzzing: schemathesis."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.servers.house import House

CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,"
    "response_headers_conformance,response_schema_conformance"
)
EXAMPLES = 60
LOGOUT = "/api/v1/auth/logout"


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
    document = tmp_path / "openapi.json"
    document.write_bytes(house.ops("/openapi.json").body)
    command = [
        str(Path(sys.executable).with_name("schemathesis")),
        *("run", str(document), "--url", house.url("web")),
        *("--header", f"Authorization: Bearer {token}"),
        *("--checks", CHECKS, "--max-examples", str(EXAMPLES)),
        *("--phases", "examples,coverage,fuzzing", "--no-color"),
        *("--max-response-time", "5", "--seed", "1", which, LOGOUT),
    ]

    done = subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=tmp_path
    )

    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
