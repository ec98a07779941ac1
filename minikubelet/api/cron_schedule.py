"""When a CronJob's schedule comes round: what `ParseStandard` of robfig/cron accepts, and what it means.

That is the library behind Kubernetes' CronJobs, and its dialect is its own: `?` is `*`, `N/S` runs to the end
of the range, 7 is no Sunday, `*/2` is no star where day of month and day of week are combined. So the grammar
is here, and the calendar search is left to CronSim (no dependencies, typed, kept up for a monitoring service
whose business it is), which is handed plain lists of numbers and local times without a zone.

The one idea about zones: the instants of a schedule are those at which a clock on a wall of the zone shows
a scheduled time. Where clocks go forward the skipped times have no instant, where they go back the repeated
ones have two. That is also what robfig/cron does, whereas cron(8) runs every such job exactly once.
"""

import os
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache

from minikubelet.api.values import frozen

_DAY = 86400.0
_HORIZON = 5  # years without a scheduled time after which robfig/cron says that there is none


@frozen
class CalendarSchedule:
    """Five fields, or a name such as `@daily` that stands for them. Instants are wall seconds (Unix)."""

    expression: str
    "Five fields of plain numbers for CronSim; a star only where it counts as one."
    zone: tzinfo

    def next(self, after: float) -> float | None:
        """The first scheduled instant later than that; None if there is none in five years."""
        return _next(self, after)

    def latest(self, after: float, until: float) -> float | None:
        """The last scheduled instant later than `after` and not later than `until`."""
        found = self.next(after)
        if found is None or found > until:
            return None
        span = 120.0
        while (near := self.next(max(after, until - span))) is None or near > until:
            span *= 4
        while near is not None and near <= until:
            found, near = near, self.next(near)
        return found

    def _offset(self, instant: float) -> timedelta:
        offset = datetime.fromtimestamp(instant, self.zone).utcoffset()
        assert offset is not None
        return offset

    def _instants(self, local: datetime) -> Sequence[float]:
        """When a clock on the wall shows this time: once, never (skipped), or twice (repeated)."""
        first, second = (local.replace(tzinfo=self.zone, fold=fold) for fold in (0, 1))
        before, after = first.utcoffset(), second.utcoffset()
        assert before is not None and after is not None
        if before < after:
            return ()
        return (first.timestamp(),) if before == after else (first.timestamp(), second.timestamp())


@frozen
class IntervalSchedule:
    """`@every`: counted from the CronJob's creation, then from one start to the next."""

    seconds: int

    def next(self, after: float) -> float | None:
        return after // 1 + self.seconds

    def latest(self, after: float, until: float) -> float | None:
        times = (until - after // 1) // self.seconds
        return after // 1 + times * self.seconds if times > 0 else None


Schedule = CalendarSchedule | IntervalSchedule


@lru_cache(maxsize=256)
def _next(schedule: CalendarSchedule, after: float) -> float | None:
    now, later = schedule._offset(after), schedule._offset(after + _DAY)
    # A repeated hour has times behind us on the wall that are yet to come: begin where the hand will be.
    begin = datetime.fromtimestamp(after, UTC).replace(tzinfo=None) + min(now, later)
    found: float | None = None
    for local in _local_times(schedule.expression, begin):
        if found is not None and local.replace(tzinfo=schedule.zone).timestamp() >= found:
            break
        for instant in schedule._instants(local):
            if instant > after and (found is None or instant < found):
                found = instant
        if found is not None and now == later:  # no repeated hour is near
            break
    return found


def _local_times(expression: str, begin: datetime) -> Iterator[datetime]:
    """The scheduled times later than `begin`, on the wall, for five years."""
    from cronsim import CronSim, CronSimError

    try:
        times = CronSim(expression, begin)
    except CronSimError:  # it says so about the 31st of February
        return
    for local in times:
        if local.year > begin.year + _HORIZON:
            return
        yield local


# ------------------------------------------------------------------ the grammar

_NAMED = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}


@frozen
class _Field:
    low: int
    high: int
    names: tuple[str, ...] = ()
    "Of the numbers from `low` on."

    def number(self, text: str) -> int:
        name = text.lower()
        return self.low + self.names.index(name) if name in self.names else _number(text)


def _number(text: str) -> int:
    if re.fullmatch(r"[+-]?[0-9]+", text) is None:
        raise ValueError(f"failed to parse int from {text}")
    if int(text) < 0:
        raise ValueError(f"negative number ({int(text)}) not allowed: {text}")
    return int(text)


_FIELDS = (
    _Field(0, 59),
    _Field(0, 23),
    _Field(1, 31),
    _Field(1, 12, ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")),
    _Field(0, 6, ("sun", "mon", "tue", "wed", "thu", "fri", "sat")),
)


def parse_schedule(text: str, zone: tzinfo) -> Schedule:
    """Raises ValueError in the words of robfig/cron."""
    if text.startswith("@every "):
        return IntervalSchedule(max(int(_duration(text)), 1))
    if text.startswith("@"):
        if text not in _NAMED:
            raise ValueError(f"unrecognized descriptor: {text}")
        text = _NAMED[text]
    columns = text.split()
    if len(columns) != len(_FIELDS):
        shown = " ".join(columns)
        raise ValueError(f"expected exactly {len(_FIELDS)} fields, found {len(columns)}: [{shown}]")
    return CalendarSchedule(" ".join(map(_numbers, columns, _FIELDS)), zone)


def _numbers(column: str, field: _Field) -> str:
    """A field as a list of numbers, or as a star if one is in it."""
    numbers: set[int] = set()
    has_star = False
    for part in filter(None, column.split(",")):
        found, is_star = _range(part, field)
        numbers |= set(found)
        has_star = has_star or is_star
    if not numbers:
        raise ValueError(f"no number in {column}")
    return "*" if has_star else ",".join(map(str, sorted(numbers)))


def _range(part: str, field: _Field) -> tuple[range, bool]:
    """`*`, `N`, `N-M`, each with or without a step, and whether it counts as a star."""
    bounds, *steps = part.split("/")
    low, *highs = bounds.split("-")
    is_star = low in ("*", "?")
    if is_star:
        start, end = field.low, field.high
    else:
        start = end = field.number(low)
        if len(highs) > 1:
            raise ValueError(f"too many hyphens: {part}")
        if highs:
            end = field.number(highs[0])
    step = 1
    if len(steps) > 1:
        raise ValueError(f"too many slashes: {part}")
    if steps:
        step = _number(steps[0])
        if not highs:
            end = field.high
        is_star = is_star and step <= 1
    if start < field.low:
        raise ValueError(f"beginning of range ({start}) below minimum ({field.low}): {part}")
    if end > field.high:
        raise ValueError(f"end of range ({end}) above maximum ({field.high}): {part}")
    if start > end:
        raise ValueError(f"beginning of range ({start}) beyond end of range ({end}): {part}")
    if step == 0:
        raise ValueError(f"step of range should be a positive number: {part}")
    return range(start, end + 1, step), is_star


_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_LENGTH = re.compile(r"([0-9]+\.?[0-9]*|\.[0-9]+)([^0-9.]*)")


def _duration(text: str) -> float:
    """The seconds of `@every 1h30m`, written as Go's time.ParseDuration reads it."""
    length = text.removeprefix("@every ")
    digits = length[1:] if length[:1] in ("-", "+") else length
    seconds, end = 0.0, 0
    while match := _LENGTH.match(digits, end):
        if not match[2] and digits != "0":
            raise ValueError(f'failed to parse duration {text}: time: missing unit in duration "{length}"')
        if match[2] not in _UNITS and digits != "0":
            why = f'unknown unit "{match[2]}" in duration "{length}"'
            raise ValueError(f"failed to parse duration {text}: time: {why}")
        seconds += float(match[1]) * _UNITS.get(match[2], 0.0)
        end = match.end()
    if end == 0 or end < len(digits):
        raise ValueError(f'failed to parse duration {text}: time: invalid duration "{length}"')
    return -seconds if length.startswith("-") else seconds


# ------------------------------------------------------------------ zones

_ZONE_PART = re.compile(r"[A-Za-z._0-9+-]{1,14}")


def find_zone(name: str) -> tzinfo:
    """A zone of the IANA database by its name. Raises ValueError in the words of the API server."""
    if not name:
        raise ValueError("timeZone must be nil or non-empty string")
    if name.lower() == "local":
        why = "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones"
        raise ValueError(why)
    for part in name.split("/"):
        if part in (".", "..") or part.startswith("-") or _ZONE_PART.fullmatch(part) is None:
            raise ValueError(f"unknown time zone {name}")
    if name == "UTC":
        return UTC
    from zoneinfo import ZoneInfo

    try:
        return ZoneInfo(name)
    except (KeyError, OSError, ValueError):
        raise ValueError(f"unknown time zone {name}") from None


def local_zone() -> tzinfo:
    """What a CronJob without timeZone goes by: the zone of the process that starts its Jobs. That is
    kube-controller-manager's in a cluster (nearly always UTC), and ours here."""
    name = os.environ.get("TZ", "").removeprefix(":")
    if name and not name.startswith("/"):
        try:
            return find_zone(name)
        except ValueError:
            pass  # a rule such as CET-1CEST; the offset of this moment is the best there is
    else:
        from zoneinfo import ZoneInfo

        path = os.path.realpath(name or "/etc/localtime")
        try:
            with open(path, "rb") as file:
                return ZoneInfo.from_file(file, key=path.rpartition("/zoneinfo/")[2])
        except (OSError, ValueError):
            pass
    zone = datetime.now().astimezone().tzinfo
    assert zone is not None
    return zone
