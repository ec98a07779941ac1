"""Patterns that are compiled when something is first looked for with them, which for most is never."""

import re
from typing import TYPE_CHECKING, Any


class LatePattern:
    """In place of a `re.Pattern`, with the arguments of `re.compile`."""

    def __init__(self, *said: Any) -> None:
        self._said = said

    def __getattr__(self, name: str) -> Any:
        self.__dict__[name] = asked = getattr(re.compile(*self._said), name)
        return asked


if TYPE_CHECKING:
    pattern = re.compile
else:
    pattern = LatePattern
