"""The base of every settings group and the readers shared by their fields.

Groups live in `config/*_settings.py`; `config/settings.py` fills them.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
LOCAL_HOST = "127.0.0.1"


class SettingGroup(BaseModel):
    """A frozen set of settings of one concern; each alias is the variable's name.

    The description of a field is its documentation: unit and reason. It is also
    what `.env.example` prints, so that the two cannot differ.
    """

    # hide_input: a refused value may be a password and would end in a log.
    model_config = ConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, allow_inf_nan=False
    )


def split_list(value: object) -> object:
    """Return the trimmed parts of a comma separated text; other values as they are."""
    if not isinstance(value, str):
        return value
    return tuple(part.strip() for part in value.split(",") if part.strip())


def url_scheme(url: str) -> str:
    """Return the lower-case scheme of ``url``, empty when there is none.

    Raises ValueError when the address cannot be taken apart (a port that is no
    number, a broken bracket); the text never repeats the address.
    """
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        message = "is not an address that can be taken apart (check its port)"
        raise ValueError(message) from None
    return parts.scheme.lower()
