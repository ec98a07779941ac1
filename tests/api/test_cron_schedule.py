"""Schedules mean what robfig/cron, the library behind Kubernetes' CronJobs, makes of them.

The instants around changes of daylight saving time are those of that library's own tests.
"""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minikubelet.api.cron_schedule import (
    CalendarSchedule,
    IntervalSchedule,
    find_zone,
    local_zone,
    parse_schedule,
)

NEW_YORK = find_zone("America/New_York")


def wall(text):
    return datetime.fromisoformat(text).timestamp()


def text(instant, zone=UTC):
    return datetime.fromtimestamp(instant, zone).isoformat()


def next_of(schedule, after, zone=UTC):
    found = parse_schedule(schedule, zone).next(wall(after))
    return None if found is None else text(found, zone)


# ------------------------------------------------------------------ fields


@pytest.mark.parametrize(
    ("schedule", "after", "expected"),
    [
        ("* * * * *", "2012-07-09T14:45:00Z", "2012-07-09T14:46:00"),
        ("* * * * *", "2012-07-09T14:59:59Z", "2012-07-09T15:00:00"),
        ("*/15 * * * *", "2012-07-09T14:45:10Z", "2012-07-09T15:00:00"),
        ("20-35/15 * * * *", "2012-07-09T14:35:00Z", "2012-07-09T15:20:00"),
        ("5/20 * * * *", "2012-07-09T14:26:00Z", "2012-07-09T14:45:00"),
        ("0 0 */5 Jul-Aug Mon", "2012-07-09T00:00:00Z", "2012-07-11T00:00:00"),
        ("0 0 9 Apr-Oct ?", "2012-07-09T00:00:00Z", "2012-08-09T00:00:00"),
        ("30 23 * feb sun", "2012-07-09T00:00:00Z", "2013-02-03T23:30:00"),
        ("0 0 29 2 *", "2012-07-09T00:00:00Z", "2016-02-29T00:00:00"),
        ("1,,3 * * * *", "2012-07-09T00:01:30Z", "2012-07-09T00:03:00"),
        ("@hourly", "2012-07-09T14:45:00Z", "2012-07-09T15:00:00"),
        ("@daily", "2012-07-09T14:45:00Z", "2012-07-10T00:00:00"),
        ("@midnight", "2012-07-09T14:45:00Z", "2012-07-10T00:00:00"),
        ("@weekly", "2012-07-09T14:45:00Z", "2012-07-15T00:00:00"),
        ("@monthly", "2012-07-09T14:45:00Z", "2012-08-01T00:00:00"),
        ("@yearly", "2012-07-09T14:45:00Z", "2013-01-01T00:00:00"),
        ("@annually", "2012-07-09T14:45:00Z", "2013-01-01T00:00:00"),
    ],
)
def test_the_next_time(schedule, after, expected):
    assert next_of(schedule, after) == f"{expected}+00:00"


def test_a_day_matches_both_fields_when_one_of_them_is_a_star_and_either_when_none_is():
    both = parse_schedule("0 0 * * mon", UTC)
    either = parse_schedule("0 0 1 * mon", UTC)

    assert text(both.next(wall("2024-01-01T00:00:00Z"))) == "2024-01-08T00:00:00+00:00"
    assert text(either.next(wall("2024-01-29T00:00:00Z"))) == "2024-02-01T00:00:00+00:00"


def test_a_star_with_a_step_is_no_star():
    """Vixie's cron says otherwise."""
    assert next_of("0 0 */10 * mon", "2024-01-01T00:00:00Z") == "2024-01-08T00:00:00+00:00"


def test_a_date_that_no_calendar_has_never_comes():
    assert next_of("59 23 31 2 *", "2012-07-09T00:00:00Z") is None
    assert next_of("0 0 30 2 ?", "2012-07-09T00:00:00Z") is None


@pytest.mark.parametrize(
    ("schedule", "words"),
    [
        ("* * * *", "expected exactly 5 fields, found 4: [* * * *]"),
        ("* * * * * *", "expected exactly 5 fields, found 6: [* * * * * *]"),
        ("60 * * * *", "end of range (60) above maximum (59): 60"),
        ("* * 0 * *", "beginning of range (0) below minimum (1): 0"),
        ("* * * * 7", "end of range (7) above maximum (6): 7"),
        ("5-1 * * * *", "beginning of range (5) beyond end of range (1): 5-1"),
        ("1-2-3 * * * *", "too many hyphens: 1-2-3"),
        ("*/2/3 * * * *", "too many slashes: */2/3"),
        ("*/0 * * * *", "step of range should be a positive number: */0"),
        ("x * * * *", "failed to parse int from x"),
        ("* * * mon *", "failed to parse int from mon"),
        ("@noon", "unrecognized descriptor: @noon"),
        ("@Daily", "unrecognized descriptor: @Daily"),
        ("@every", "unrecognized descriptor: @every"),
        ("@every 5", 'failed to parse duration @every 5: time: missing unit in duration "5"'),
        ("@every 5d", 'failed to parse duration @every 5d: time: unknown unit "d" in duration "5d"'),
        ("@every soon", 'failed to parse duration @every soon: time: invalid duration "soon"'),
    ],
)
def test_what_is_refused_and_in_which_words(schedule, words):
    with pytest.raises(ValueError) as caught:
        parse_schedule(schedule, UTC)

    assert str(caught.value) == words


# ------------------------------------------------------------------ @every


@pytest.mark.parametrize(
    ("length", "seconds"),
    [("5s", 5), ("1h30m", 5400), ("1.5h", 5400), ("90s500ms", 90), ("200ms", 1), ("-1h", 1), ("0", 1)],
)
def test_every_counts_whole_seconds_and_at_least_one(length, seconds):
    assert parse_schedule(f"@every {length}", UTC) == IntervalSchedule(seconds)


def test_every_goes_on_from_where_it_began():
    schedule = IntervalSchedule(7)

    assert schedule.next(100.9) == 107
    assert schedule.latest(100, 106.9) is None
    assert schedule.latest(100, 121.5) == 121


# ------------------------------------------------------------------ zones


@pytest.mark.parametrize(
    ("schedule", "after", "expected"),
    [
        # clocks go from 2:00 to 3:00
        ("30 2 11 Mar ?", "2012-03-11T00:00:00-05:00", "2013-03-11T02:30:00-04:00"),
        ("0 * * * ?", "2012-03-11T01:00:00-05:00", "2012-03-11T03:00:00-04:00"),
        ("0 1 * * ?", "2012-03-11T01:00:00-05:00", "2012-03-12T01:00:00-04:00"),
        ("0 2 * * ?", "2012-03-11T00:00:00-05:00", "2012-03-12T02:00:00-04:00"),
        # clocks go from 2:00 back to 1:00
        ("30 2 4 Nov ?", "2012-11-04T00:00:00-04:00", "2012-11-04T02:30:00-05:00"),
        ("30 1 4 Nov ?", "2012-11-04T01:45:00-04:00", "2012-11-04T01:30:00-05:00"),
        ("30 1 4 Nov ?", "2012-01-01T00:00:00-05:00", "2012-11-04T01:30:00-04:00"),
        ("0 * * * ?", "2012-11-04T00:00:00-04:00", "2012-11-04T01:00:00-04:00"),
        ("0 * * * ?", "2012-11-04T01:00:00-04:00", "2012-11-04T01:00:00-05:00"),
        ("0 * * * ?", "2012-11-04T01:00:00-05:00", "2012-11-04T02:00:00-05:00"),
        ("0 1 * * ?", "2012-11-04T00:00:00-04:00", "2012-11-04T01:00:00-04:00"),
        ("0 1 * * ?", "2012-11-04T01:00:00-04:00", "2012-11-04T01:00:00-05:00"),
        ("0 1 * * ?", "2012-11-04T01:00:00-05:00", "2012-11-05T01:00:00-05:00"),
        ("0 3 * * ?", "2012-11-04T00:00:00-04:00", "2012-11-04T03:00:00-05:00"),
    ],
)
def test_skipped_hours_are_skipped_and_repeated_hours_repeated(schedule, after, expected):
    assert next_of(schedule, after, NEW_YORK) == expected


def test_a_day_that_begins_at_one_o_clock_is_searched_from_there():
    cairo = find_zone("Africa/Cairo")

    assert next_of("30 1 * * FRI", "2024-04-20T00:00:00Z", cairo) == "2024-04-26T01:30:00+03:00"
    assert next_of("30 0 * * FRI", "2024-04-20T00:00:00Z", cairo) == "2024-05-03T00:30:00+03:00"


@pytest.mark.parametrize("name", ["", "Local", "Nowhere/Land", "../etc/passwd", "a/-b", "x" * 15, "Europe"])
def test_what_is_no_zone(name):
    with pytest.raises(ValueError, match=r"time zone|timeZone"):
        find_zone(name)


def test_the_zone_of_this_process_is_that_of_TZ(monkeypatch):
    monkeypatch.setenv("TZ", ":Asia/Kolkata")

    assert datetime(2024, 1, 1, tzinfo=local_zone()).utcoffset() == timedelta(hours=5.5)


# ------------------------------------------------------------------ properties

FIELDS = [
    st.sampled_from(["*", "?", "0", "*/7", "5-20/5", "1,2,58", "30/9"]),
    st.sampled_from(["*", "0", "1", "2", "*/6", "22-23"]),
    st.sampled_from(["*", "1", "15", "*/9", "25-31"]),
    st.sampled_from(["*", "3", "mar,nov", "*/4"]),
    st.sampled_from(["*", "sun", "1-5", "*/2"]),
]
SCHEDULES = st.tuples(*FIELDS).map(" ".join)
ZONES = st.sampled_from(["UTC", "America/New_York", "Europe/Berlin", "Australia/Lord_Howe", "Asia/Kolkata"])
CHANGES = [  # of the clocks in New York, Berlin and on Lord Howe Island
    "2024-03-10T07:00:00Z",
    "2024-11-03T06:00:00Z",
    "2024-03-31T01:00:00Z",
    "2024-10-27T01:00:00Z",
    "2024-04-06T15:00:00Z",
    "2024-10-05T15:30:00Z",
]
NEAR_CHANGES = st.builds(
    lambda change, length: wall(change) + length, st.sampled_from(CHANGES), st.integers(-9000, 9000)
)
INSTANTS = NEAR_CHANGES | st.integers(
    int(wall("2023-01-01T00:00:00Z")), int(wall("2026-01-01T00:00:00Z"))
).map(float)


@settings(deadline=None)
@given(SCHEDULES, ZONES, INSTANTS)
def test_what_comes_next_is_later_and_on_the_minute(schedule, zone, after):
    found = parse_schedule(schedule, find_zone(zone)).next(after)

    assert found is None or (found > after and datetime.fromtimestamp(found, find_zone(zone)).second == 0)


@settings(deadline=None)
@given(SCHEDULES, ZONES, INSTANTS, st.integers(0, 40 * 3600))
def test_the_latest_is_where_stepping_ends(schedule, zone, after, length):
    parsed = parse_schedule(schedule, find_zone(zone))
    until = after + length
    last, step = None, parsed.next(after)
    while step is not None and step <= until and (last is None or step - after < 4 * 3600):
        last, step = step, parsed.next(step)
    if step is not None and step <= until:
        return  # too many to step through

    assert parsed.latest(after, until) == last


@settings(deadline=None)
@given(SCHEDULES, ZONES, INSTANTS)
def test_nothing_scheduled_lies_between_two_steps(schedule, zone, after):
    """Every minute of the wall clock is tried, at the times where clocks change most of all."""
    parsed = parse_schedule(schedule, find_zone(zone))
    assert isinstance(parsed, CalendarSchedule)
    start = after - after % 60
    minutes = [start + 60 * n for n in range(240)]
    stepped = set()
    step = parsed.next(start - 1)
    while step is not None and step <= minutes[-1]:
        stepped.add(step)
        step = parsed.next(step)

    assert stepped == {minute for minute in minutes if _is_scheduled(parsed, minute)}
    assert all(a < b for a, b in pairwise(sorted(stepped)))


def _is_scheduled(schedule, instant):
    there = datetime.fromtimestamp(instant, schedule.zone)
    minute, hour, day, month, weekday = (
        field == "*" or value in map(int, field.split(","))
        for field, value in zip(
            schedule.expression.split(),
            (there.minute, there.hour, there.day, there.month, there.isoweekday() % 7),
            strict=True,
        )
    )
    fields = schedule.expression.split()
    days = (day and weekday) if "*" in (fields[2], fields[4]) else (day or weekday)
    return minute and hour and days and month
