"""JSON that somebody else may have written: labels, answers, files. Read here, and nowhere else by hand."""

import json
from collections.abc import Callable


def value_of(text: str | bytes, constant: Callable[[str], object] | None = None) -> object:
    """The value. `constant` is called for NaN and the like. Raises ValueError for whatever cannot be read:
    of what nests more deeply than the standard library reads, that raises RecursionError.
    """
    try:
        return json.loads(text, parse_constant=constant)
    except RecursionError:
        raise ValueError("it nests too deeply") from None
