r"""Shared shapes of text fields; the same limits are in the OpenAPI document.

Patterns end in ``$(?!\n)``: Python's ``$`` alone lets one line end through, and
JSON Schema knows no ``\\Z``.
"""

from __future__ import annotations

from typing import Annotated, Final

from msgspec import Meta

from config.queues import LANES
from config.schedule import JOBS

# No controls: they break terminals and logs, and NUL breaks databases. No ends of
# lines, no marks that turn the direction of what follows, no noncharacters.
_BROKEN: Final = r"\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ufffe\uffff"
# Spaces of all kinds and marks without a width (emoji are joined by some).
_UNSEEN: Final = r"\x20\xa0\xad\u1680\u2000-\u200f\u202f\u205f-\u2064\u3000\ufeff"
PRINTABLE: Final = rf"^[^{_BROKEN}]*$(?!\n)"
# As above, and one character at least that is seen.
FILLED: Final = rf"^[^{_BROKEN}]*[^{_BROKEN}{_UNSEEN}][^{_BROKEN}]*$(?!\n)"
CODE: Final = r"^[A-Za-z0-9_.-]+$(?!\n)"
VISIBLE_ASCII: Final = r"^[!-~]+$(?!\n)"
NAME: Final = r"^[A-Za-z0-9_-]+$(?!\n)"
DEVICE_NAME: Final = r"^[A-Za-z0-9._:-]+$(?!\n)"
HTTPS_URL: Final = r"^https://[A-Za-z0-9][A-Za-z0-9.-]*(:[0-9]{1,5})?(/[!-~]*)?$(?!\n)"

# No space at an end: databases differ in whether it counts when texts are compared.
KEY: Final = r"^[^\x00-\x20\x7f]([^\x00-\x1f\x7f]*[^\x00-\x20\x7f])?$(?!\n)"
# A page of the mini-program with its query, without a leading slash.
PAGE: Final = r"^[A-Za-z0-9_-][A-Za-z0-9_/.-]*(\?[!-~]*)?$(?!\n)"

LoginCode = Annotated[str, Meta(min_length=1, max_length=128, pattern=CODE)]
AppName = Annotated[str, Meta(min_length=1, max_length=64, pattern=NAME)]
UserId = Annotated[str, Meta(min_length=1, max_length=40, pattern=NAME)]
DeviceName = Annotated[str, Meta(min_length=1, max_length=64, pattern=DEVICE_NAME)]
ShortText = Annotated[str, Meta(max_length=32, pattern=PRINTABLE)]
Text = Annotated[str, Meta(max_length=64, pattern=PRINTABLE)]
FilledText = Annotated[str, Meta(min_length=1, max_length=64, pattern=FILLED)]
HttpsUrl = Annotated[str, Meta(max_length=512, pattern=HTTPS_URL)]
TokenText = Annotated[str, Meta(min_length=1, max_length=2048, pattern=VISIBLE_ASCII)]
DedupeKey = Annotated[str, Meta(min_length=1, max_length=128, pattern=KEY)]
PagePath = Annotated[str, Meta(min_length=1, max_length=1024, pattern=PAGE)]
# A place in a list ordered by time and id; clients take it from `next_cursor`.
CURSOR: Final = r"^[0-9]{1,15}\.[A-Za-z0-9_]{1,40}$(?!\n)"

CursorText = Annotated[str, Meta(max_length=56, pattern=CURSOR)]
# A place in a list where many entries have one time: the time, and which of them.
COUNTED: Final = r"^[0-9]{1,15}\.[0-9]{1,3}$(?!\n)"
CountedCursor = Annotated[str, Meta(max_length=19, pattern=COUNTED)]
PageLimit = Annotated[int, Meta(ge=1, le=100)]
# Of the lanes of this release; a mistyped one would quietly match nothing.
LANE: Final = rf"^({'|'.join(LANES)})$(?!\n)"
LaneName = Annotated[str, Meta(max_length=32, pattern=LANE)]
JOB: Final = rf"^({'|'.join(JOBS)})$(?!\n)"
JobName = Annotated[str, Meta(max_length=64, pattern=JOB)]
WorkName = Annotated[str, Meta(min_length=1, max_length=120, pattern=CODE)]
# As WeChat's client hands it out, or as a form post damaged it: read leniently, so that
# what is wrong with it gets the one answer of data that cannot be opened.
SealedText = Annotated[str, Meta(max_length=65_536)]
SealedPart = Annotated[str, Meta(max_length=1024)]
