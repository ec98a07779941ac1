"""Which Jobs a CronJob starts, holds back, replaces and forgets, in virtual time."""

import pytest
from cron_history import MIDNIGHT, CronHistory, cron_job
from hypothesis import given, settings
from hypothesis import strategies as st

from minikubelet.lifecycle.cron_record import (
    ChildChanged,
    CronChild,
    CronDeleted,
    CronSuspended,
    StartJob,
    published_cron_job,
)

MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0


def job(seconds):
    """The name of the Job for a time of the first day."""
    return f"c-{int((MIDNIGHT + seconds) // 60)}"


def test_a_job_is_started_at_each_scheduled_time():
    history = CronHistory(cron_job("*/20 * * * *")).run_for(HOUR)

    assert history.starts() == [20 * MINUTE, 40 * MINUTE, HOUR]


def test_the_time_of_creation_is_not_a_start():
    history = CronHistory(cron_job("0 0 * * *")).run_for(DAY - 1)

    assert history.starts() == []


def test_every_day_of_a_fortnight_has_its_job():
    history = CronHistory(cron_job("0 12 * * *")).run_for(14 * DAY)

    assert history.starts() == [n * DAY + 12 * HOUR for n in range(14)]


def test_the_wall_clock_is_looked_at_every_minute_and_not_more_often():
    history = CronHistory(cron_job("0 12 * * *")).run_for(HOUR)

    assert history.looks == 61


# ------------------------------------------------------------------ concurrencyPolicy


def test_allow_lets_jobs_overlap():
    history = CronHistory(cron_job("*/10 * * * *"), lasts=25 * MINUTE).run_for(44 * MINUTE)

    assert history.starts() == [10 * MINUTE, 20 * MINUTE, 30 * MINUTE, 40 * MINUTE]
    assert list(history.record.active) == [job(20 * MINUTE), job(30 * MINUTE), job(40 * MINUTE)]


def test_forbid_starts_the_last_of_the_held_back_jobs_once_there_is_room():
    """Upstream: the scheduled time stays unmet, and is looked at again when the Job has finished."""
    spec = cron_job("*/10 * * * *", concurrency_policy="Forbid")
    history = CronHistory(spec, lasts=25 * MINUTE).run_for(40 * MINUTE)

    assert history.starts() == [10 * MINUTE, 35 * MINUTE]
    assert history.record.last_schedule_time == MIDNIGHT + 30 * MINUTE
    assert history.remarks() == [
        (20 * MINUTE, "JobAlreadyActive"),
        (30 * MINUTE, "JobAlreadyActive"),
        (40 * MINUTE, "JobAlreadyActive"),
    ]


def test_replace_deletes_what_is_active_and_starts_at_the_scheduled_time():
    spec = cron_job("*/10 * * * *", concurrency_policy="Replace")
    history = CronHistory(spec, lasts=25 * MINUTE).run_for(30 * MINUTE)

    assert history.starts() == [10 * MINUTE, 20 * MINUTE, 30 * MINUTE]
    assert history.deletions() == [(20 * MINUTE, job(10 * MINUTE)), (30 * MINUTE, job(20 * MINUTE))]
    assert list(history.record.active) == [job(30 * MINUTE)]


# ------------------------------------------------------------------ missed starts


def test_of_many_missed_starts_one_is_caught_up():
    """The machine slept: the wall clock is hours ahead, the monotonic one stood still."""
    history = CronHistory(cron_job("*/10 * * * *")).run_for(5 * MINUTE)
    history.set_clock(3 * HOUR + MINUTE)
    history.run_for(MINUTE)

    assert history.starts() == [3 * HOUR + 7 * MINUTE]
    assert history.record.last_schedule_time == MIDNIGHT + 3 * HOUR
    assert history.remarks() == []


def test_more_than_a_hundred_missed_starts_are_remarked_upon():
    history = CronHistory(cron_job("* * * * *"))
    history.set_clock(2 * HOUR)
    history.run_for(1)

    assert history.remarks() == [(2 * HOUR, "TooManyMissedTimes")]
    assert history.starts() == [2 * HOUR]


def test_a_start_that_is_later_than_its_deadline_is_missed():
    history = CronHistory(cron_job("0 * * * *", starting_deadline_seconds=600)).run_for(MINUTE)
    history.set_clock(HOUR + 10 * MINUTE)
    history.run_for(HOUR)

    assert history.remarks() == [(HOUR + 12 * MINUTE, "MissSchedule")]
    assert history.starts() == [2 * HOUR]


def test_a_start_within_its_deadline_is_caught_up():
    history = CronHistory(cron_job("0 * * * *", starting_deadline_seconds=600)).run_for(MINUTE)
    history.set_clock(HOUR + 5 * MINUTE)
    history.run_for(MINUTE)

    assert history.starts() == [HOUR + 7 * MINUTE]


def test_a_start_that_forbid_holds_back_beyond_its_deadline_is_missed_when_that_comes():
    spec = cron_job("0 * * * *", concurrency_policy="Forbid", starting_deadline_seconds=90)
    history = CronHistory(spec, lasts=1.5 * HOUR).run_for(2.9 * HOUR)

    assert history.starts() == [HOUR]
    assert history.remarks() == [(2 * HOUR, "JobAlreadyActive"), (2 * HOUR + 90, "MissSchedule")]


def test_a_clock_that_is_set_back_repeats_nothing():
    history = CronHistory(cron_job("*/10 * * * *")).run_for(25 * MINUTE)
    history.set_clock(-20 * MINUTE)
    history.run_for(30 * MINUTE)

    assert history.record.last_schedule_time == MIDNIGHT + 30 * MINUTE
    assert history.starts() == [10 * MINUTE, 20 * MINUTE, 30 * MINUTE]


def test_a_schedule_that_never_comes_round_is_said_to_be_invalid_once():
    history = CronHistory(cron_job("0 0 31 2 *")).run_for(DAY)

    assert history.remarks() == [(0, "InvalidSchedule")]


# ------------------------------------------------------------------ suspend, delete


def test_a_suspended_cron_job_starts_nothing_and_catches_up_one_when_it_is_resumed():
    history = CronHistory(cron_job("*/10 * * * *", suspend=True)).run_for(35 * MINUTE)
    assert history.starts() == []

    history.tell(CronSuspended(False))

    assert history.starts() == [35 * MINUTE]
    assert history.record.last_schedule_time == MIDNIGHT + 30 * MINUTE


def test_a_deleted_cron_job_starts_nothing_but_still_sees_its_jobs_finish():
    history = CronHistory(cron_job("*/10 * * * *"), lasts=5 * MINUTE).run_for(11 * MINUTE)
    history.tell(CronDeleted())
    history.run_for(HOUR)

    assert history.starts() == [10 * MINUTE]
    assert history.retired() == [(15 * MINUTE, "Complete")]


# ------------------------------------------------------------------ history


@pytest.mark.parametrize(("end", "kept"), [("Complete", 3), ("Failed", 1)])
def test_the_default_limits_keep_three_successes_and_one_failure(end, kept):
    history = CronHistory(cron_job("*/10 * * * *"), end=end).run_for(HOUR + MINUTE)

    assert list(history.record.finished) == [job(m * MINUTE) for m in (20, 30, 40, 50, 60)[-kept:]]
    assert len(history.deletions()) == 6 - kept


def test_a_limit_of_zero_keeps_none():
    history = CronHistory(cron_job("*/10 * * * *", successful_jobs_history_limit=0)).run_for(11 * MINUTE)

    assert history.deletions() == [(10 * MINUTE + 1, job(10 * MINUTE))]


def test_the_oldest_go_first_whichever_finished_first():
    history = CronHistory(cron_job("*/10 * * * *", successful_jobs_history_limit=1), lasts=15 * MINUTE)
    history.run_for(22 * MINUTE)
    later = history.record.active[job(20 * MINUTE)]
    history.tell(ChildChanged(CronChild(later.name, created_at=later.created_at, end="Complete")))
    history.run_for(4 * MINUTE)

    assert history.deletions() == [(25 * MINUTE, job(10 * MINUTE))]


def test_a_job_whose_time_to_live_is_over_leaves_the_history():
    history = CronHistory(cron_job("*/10 * * * *")).run_for(15 * MINUTE)
    history.tell(ChildChanged(CronChild(job(10 * MINUTE), end="Complete", is_gone=True)))

    assert history.record.finished == {}
    assert history.deletions() == []


def test_a_job_that_somebody_deleted_is_missing():
    history = CronHistory(cron_job("*/10 * * * *", concurrency_policy="Forbid"), lasts=HOUR)
    history.run_for(15 * MINUTE)
    history.tell(ChildChanged(CronChild(job(10 * MINUTE), is_gone=True)))
    history.run_for(10 * MINUTE)

    assert history.retired() == [(15 * MINUTE, None)]
    assert history.starts() == [10 * MINUTE, 20 * MINUTE]


# ------------------------------------------------------------------ @every


def test_every_is_counted_from_the_creation():
    history = CronHistory(cron_job("@every 90m")).run_for(5 * HOUR)

    assert history.starts() == [1.5 * HOUR, 3 * HOUR, 4.5 * HOUR]


def test_a_minute_has_one_job_as_its_name_says_the_minute():
    history = CronHistory(cron_job("@every 20s")).run_for(3 * MINUTE + 10)

    assert history.starts() == [20, MINUTE, 2 * MINUTE, 3 * MINUTE]


def test_the_name_is_free_again_once_the_job_is_forgotten():
    history = CronHistory(cron_job("@every 20s", successful_jobs_history_limit=0)).run_for(MINUTE)

    assert history.starts() == [20, 40, MINUTE]


# ------------------------------------------------------------------ status


def test_the_status_names_what_is_active_and_the_last_times():
    history = CronHistory(cron_job("*/10 * * * *"), lasts=5 * MINUTE).run_for(22 * MINUTE)
    status = published_cron_job(history.record, MIDNIGHT).status

    assert status is not None
    assert [(ref.kind, ref.api_version, ref.name) for ref in status.active] == [
        ("Job", "batch/v1", job(20 * MINUTE))
    ]
    assert status.last_schedule_time == "2024-01-01T00:20:00Z"
    assert status.last_successful_time == "2024-01-01T00:15:00Z"


def test_a_failure_is_no_last_success():
    history = CronHistory(cron_job("*/10 * * * *"), end="Failed").run_for(15 * MINUTE)

    assert history.record.last_successful_time is None


# ------------------------------------------------------------------ properties


@settings(deadline=None)
@given(
    st.sampled_from(["* * * * *", "*/7 * * * *", "3 */2 * * *", "@every 50s", "@every 13m"]),
    st.sampled_from(["Allow", "Forbid", "Replace"]),
    st.sampled_from([None, 30, 600]),
    st.floats(1, 2 * HOUR),
    st.lists(st.tuples(st.floats(1, HOUR), st.floats(-HOUR, HOUR)), max_size=5),
)
def test_whatever_the_clock_does(schedule, policy, deadline, lasts, jumps):
    """No scheduled time is served twice, none before it has come or after its deadline, no two at once where
    that is forbidden, and the history stays within its limits."""
    spec = cron_job(schedule, concurrency_policy=policy, starting_deadline_seconds=deadline)
    history = CronHistory(spec, lasts=lasts)
    for length, jump in jumps:
        history.run_for(length)
        history.set_clock(jump)
    history.run_for(HOUR)

    started = [(MIDNIGHT + at, a.scheduled_at) for at, a in history.done if isinstance(a, StartJob)]
    assert len({scheduled for _, scheduled in started}) == len(started)
    assert all(scheduled <= at + 0.001 for at, scheduled in started)
    if deadline is not None:
        assert all(at < scheduled + deadline + 0.001 for at, scheduled in started)
    if policy != "Allow":
        assert len(history.record.active) <= 1
    assert len(history.record.finished) <= 3
