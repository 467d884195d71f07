"""What becomes of an act that is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from models.errors import KuaidaError

if TYPE_CHECKING:
    from collections.abc import Callable


def failure(act: Callable[[], object]) -> KuaidaError:
    """Return the error with which ``act`` is refused."""
    with pytest.raises(KuaidaError) as error:
        act()
    return error.value


def refused(act: Callable[[], object]) -> str:
    """Return the reason with which ``act`` is refused."""
    return failure(act).reason
