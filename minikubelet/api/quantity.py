"""Resource quantities: `100m`, `1.5Gi`, `2e3` and plain numbers, as exact integers.

A quantity is held in billionths of its unit (the finest step the API knows), so that comparing and
dividing never meets a rounding error. It does not know which resource it counts.
"""

from minikubelet.api.patterns import pattern
from minikubelet.api.values import frozen

_NANO = 10**9
_FORM = pattern(r"([+-]?)([0-9]*)(?:\.([0-9]*))?(?:[eE]([+-]?[0-9]{1,3})|([numkMGTPE]|[KMGTPE]i|))")
_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}


@frozen(order=True)
class Quantity:
    nano: int
    "Billionths of the unit (cores, bytes), rounded away from zero as the API does."

    def ceil_div(self, divisor: "Quantity") -> int:
        """How many `divisor` fit, rounded up: what resourceFieldRef gives (ENV-10)."""
        return -(-self.nano // divisor.nano)

    @property
    def units(self) -> int:
        """Whole units, rounded up: bytes for memory, cores for cpu."""
        return -(-self.nano // _NANO)

    @property
    def milli(self) -> int:
        """Thousandths, rounded up: millicores for cpu."""
        return -(-self.nano // 10**6)

    def __add__(self, other: "Quantity") -> "Quantity":
        return Quantity(self.nano + other.nano)


def parse_quantity(value: int | float | str) -> Quantity:
    """The exact value of a quantity. Raises ValueError where it is none."""
    match = _FORM.fullmatch(str(value))
    if match is None or isinstance(value, bool) or not (match[2] or match[3]):
        raise ValueError(f"{value!r} is not a quantity")
    sign, whole, fraction, exponent, suffix = match.groups("")
    digits = int(whole + fraction or "0") * _NANO
    if suffix in _BINARY:
        digits <<= _BINARY[suffix]
    power = (int(exponent) if exponent else _DECIMAL.get(suffix, 0)) - len(fraction)
    nano = digits * 10**power if power >= 0 else -(-digits // 10**-power)
    return Quantity(-nano if sign == "-" else nano)
