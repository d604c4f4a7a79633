"""What settings are checked for at once, with a message that says what was expected and what came."""

from typing import TYPE_CHECKING

import numpy as np

__all__ = ["whole"]

# Checked by value: a run-time check of types would come first.
if TYPE_CHECKING:
    Count = int
else:
    from typing import Any as Count


def whole(what: str, number: Count, least: int = 1) -> int:
    """The number, where it is an integer (no bool) of at least `least`; else ValueError: "what must be an integer …"."""
    if isinstance(number, bool) or not isinstance(number, int | np.integer) or number < least:
        raise ValueError(f"{what} must be an integer of at least {least}, got {number!r}.")
    return int(number)
