"""The record of a Job as the API publishes it."""

from job_history import History

from minikubelet.lifecycle.job_facts import JobDeleted, SetCondition, SuspendRequested
from minikubelet.lifecycle.job_record import observe_job
from minikubelet.lifecycle.job_status import job_status, published_job

EPOCH = 1_700_000_000.0
ZERO = "2023-11-14T22:13:20Z"
FIVE = "2023-11-14T22:13:25Z"


def test_job_1_active_ready_and_terminating_are_told_apart() -> None:
    job = History(parallelism=4, completions=8, pod_replacement_policy="Failed")
    job.run("p1", ready=True).run("p2").run("p3", ready=True, deletion_requested=True)

    status = job_status(job.record, EPOCH)

    assert (status.active, status.ready, status.terminating) == (3, 1, 1)


def test_job_16_complete_has_start_and_completion_time() -> None:
    status = job_status(History().at(5).succeed("p1").record, EPOCH)

    assert (status.start_time, status.completion_time) == (ZERO, FIVE)
    assert [(c.type, c.last_transition_time) for c in status.conditions] == [
        ("SuccessCriteriaMet", FIVE),
        ("Complete", FIVE),
    ]
    assert status.conditions[1].message == "Reached expected number of succeeded pods"


def test_job_16_failed_has_no_completion_time() -> None:
    status = job_status(History(backoff_limit=0).at(5).fail("p1").record, EPOCH)

    assert status.completion_time is None
    assert (status.active, status.failed) == (0, 1)


def test_job_27_a_job_created_suspended_has_no_start_time() -> None:
    job = History(suspend=True)
    before = job_status(job.record, EPOCH).start_time
    job.at(5).tell(SuspendRequested(False))

    assert (before, job_status(job.record, EPOCH).start_time) == (None, FIVE)


def test_job_23_indexes_appear_where_they_mean_something() -> None:
    plain = job_status(History().succeed("p1").record, EPOCH)
    indexed = History(completions=3, parallelism=3, completion_mode="Indexed", backoff_limit_per_index=0)
    of_indexes = job_status(indexed.succeed("p1").fail("p2", "p3").record, EPOCH)

    assert (plain.completed_indexes, plain.failed_indexes) == (None, None)
    assert (of_indexes.completed_indexes, of_indexes.failed_indexes) == ("0", "1,2")


def test_print_10_a_deleted_job_is_published_with_its_deletion() -> None:
    job = History().at(5)
    before = published_job(job.record, EPOCH).metadata.deletion_timestamp
    after = published_job(job.tell(JobDeleted()).record, EPOCH)

    assert (before, after.metadata.deletion_timestamp) == (None, FIVE)
    assert after.metadata.creation_timestamp == ZERO


def test_job_13_the_deadline_is_named_in_both_conditions() -> None:
    status = job_status(History(active_deadline_seconds=5).at(5).record, EPOCH)

    first = status.conditions[0]
    assert (first.type, first.reason) == ("FailureTarget", "DeadlineExceeded")
    assert first.message == "Job was active longer than specified deadline"


def test_job_27_a_condition_replaces_its_own_kind_alone() -> None:
    record = History().record
    for at, (kind, status) in enumerate([("A", "True"), ("B", "True"), ("A", "False")]):
        record = observe_job(record, SetCondition(kind, status, "Because", ""), float(at))

    assert [(c.type, c.status, c.since) for c in record.conditions] == [("A", "False", 2), ("B", "True", 1)]


def test_print_10_a_second_deletion_does_not_change_when_the_first_was() -> None:
    job = History().run("p1").at(5).tell(JobDeleted()).at(7).tell(JobDeleted())

    assert job.record.deleted_at == 5
