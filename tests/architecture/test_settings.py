"""The sample file and the settings are one list, and no setting hides."""

from __future__ import annotations

import re

from config.settings import GROUPS, setting_names
from tests.architecture.documents import env_names
from tests.architecture.sources import ROOT

OUTSIDE = {"KUAIDA_ENV", "VAR_DIR"}


def test_sample_lists_every_setting_and_no_other() -> None:
    sample = env_names((ROOT / ".env.example").read_text())

    assert sample == set(setting_names()) | OUTSIDE


def test_sample_holds_no_secret() -> None:
    text = (ROOT / ".env.example").read_text()
    filled = re.findall(
        r"^(\w*(?:KEY|TOKEN|SECRET|LOGIN|PASSWORD))=\S+", text, re.MULTILINE
    )

    assert filled == []


def test_each_setting_says_what_it_is() -> None:
    silent = [
        field.alias
        for group in GROUPS.values()
        for field in group.model_fields.values()
        if not field.description
    ]

    assert silent == []


def test_setting_names_are_used_once() -> None:
    names = list(setting_names())

    assert sorted(names) == sorted(set(names))
