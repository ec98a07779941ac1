"""A set of completion indexes, as an Indexed Job counts them (JOB-21, JOB-23).

The set is one integer, bit I standing for index I: a value that costs a few machine words per hundred
indexes, is never changed in place, and finds the lowest index missing without a search.
"""

import re
from collections.abc import Iterator
from functools import lru_cache

from minikubelet.api.values import frozen

_RUN = re.compile("1+")


@frozen
class IndexSet:
    bits: int = 0

    def __contains__(self, index: int) -> bool:
        return bool(self.bits >> index & 1)

    def __len__(self) -> int:
        return self.bits.bit_count()

    def __and__(self, other: "IndexSet") -> "IndexSet":
        return IndexSet(self.bits & other.bits)

    def __or__(self, other: "IndexSet") -> "IndexSet":
        return IndexSet(self.bits | other.bits)

    def with_index(self, index: int) -> "IndexSet":
        return IndexSet(self.bits | 1 << index)

    def missing(self, completions: int) -> Iterator[int]:
        """The indexes below `completions` that are not in the set, lowest first."""
        bits = self.bits
        while (index := (~bits & bits + 1).bit_length() - 1) < completions:
            yield index
            bits |= 1 << index

    def __str__(self) -> str:
        """JOB-23: ascending and comma separated, three or more in a row as FIRST-LAST ("1,3-5,7,8")."""
        lowest_first = f"{self.bits:b}"[::-1]
        return ",".join(_run(m.start(), m.end() - 1) for m in _RUN.finditer(lowest_first))


NO_INDEXES = IndexSet()


def _run(first: int, last: int) -> str:
    if first == last:
        return str(first)
    return f"{first}{',' if last == first + 1 else '-'}{last}"


@lru_cache
def parse_indexes(text: str, completions: int) -> IndexSet:
    """Read the form that `str` writes; indexes from `completions` on are left out.

    Raises ValueError for anything else than `N` and `N-M` separated by commas.
    """
    bits = 0
    for part in filter(None, text.split(",")):
        first, _, last = part.partition("-")
        low, high = int(first), min(int(last or first), completions - 1)
        bits |= (1 << max(high + 1, low)) - (1 << low)
    return IndexSet(bits)
