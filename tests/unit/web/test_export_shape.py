"""The document of an export says every section that is written into it."""

from __future__ import annotations

from models.personal_sections import SECTIONS
from web.views.exports import ExportDocument


def test_the_described_sections_are_the_written_ones() -> None:
    head = ("format", "made_at", "pending_login")

    assert ExportDocument.__struct_fields__ == (*head, *(s.name for s in SECTIONS))
