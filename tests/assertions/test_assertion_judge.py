"""What holds and what does not, over runs made by hand."""

from collections.abc import Sequence

import attrs
import pytest
import timeline
from timeline import job, pod, run

from minikubelet.assertions import Verdict, check
from minikubelet.assertions.run import ContainerLog, Run

# A sidecar, a main that needs two attempts, and a shutdown in which the sidecar needs SIGKILL.
TYPICAL = run(
    "0.0 web begun",
    "0.1 web/proxy started",
    "0.3 web/proxy up",
    "0.4 web/proxy ready",
    "0.5 web/main started",
    "0.5 web/main up",
    "0.6 web/main ready",
    "0.6 web Ready",
    "0.9 web/main unready",
    "1.0 web/main exited 3",
    "1.1 web event BackOff Back-off restarting failed container main",
    "2.0 web/main started",
    "2.1 web/main ready",
    "3.0 web/main exited 0",
    "3.0 web stopping",
    "3.0 web/proxy stopping",
    "3.1 web/proxy signalled SIGTERM",
    "5.1 web/proxy killed",
    "5.2 web/proxy exited 137",
    "5.2 web Succeeded",
    "5.2 web finished",
    pods=[pod(exit_codes=(137, 0), restarts=1, conditions=("Initialized", "PodScheduled"))],
    logs={
        "web/main": "0.5 starting\n0.8 accepting films\n2.0 starting\n2.2 accepting films",
        "web/proxy": "0.2 up",
    },
)


@pytest.mark.parametrize(
    "assertion",
    [
        "proxy started before main",
        "main started after proxy",
        "proxy ready before main started",
        "main first exited before main last started",
        "main exited before proxy signalled",
        "proxy signalled after main exited",
        'main logged "accepting" after main ready',
        "main 2nd started after event BackOff",
        "pod web Ready before main exited",
        "proxy was signalled",
        "main 2nd started",
        "main never killed",
        "main started == 2 times",
        "main started < 3 times",
        "main exited != 1 times",
        'main logged "accepting" == 2 times',
        "pod web was Ready",
        "pod web Succeeded",
        "pod web not Ready",
        "pod web Initialized",
        "web Succeeded",
        "main ready within 650ms",
        "main ready within 150ms after main started",
        "main last ready within 200ms after main last started",
        "main 2nd started at least 1s after main first exited",
        "pod web Succeeded within 6s",
        "event BackOff happened",
        "event BackOff of pod web happened == 1 times",
        'event BackOff containing "container main" happened',
        "event Unhealthy of main never happened",
        "restarts of main == 1",
        "restarts of web/main <= 1",
        "exit code of proxy == 137",
        "exit code of main == 0",
        "shutdown of web > 2s",
        "shutdown of proxy <= 2300ms",
        "no SIGKILL of main",
        'log of main contains "films"',
        'log of main matches "^accepting .*s$"'.replace("^", "(?m)^"),
        'log of main does not contain "error"',
        'log of main does not match "err(or)?"',
        "log of proxy == up",
    ],
)
def test_it_holds(assertion: str) -> None:
    """Each way to say something, where it is true."""
    verdict = check(assertion, TYPICAL)

    assert verdict, str(verdict)
    assert verdict.evidence


@pytest.mark.parametrize(
    ("assertion", "evidence"),
    [
        (
            "main ready before proxy ready",
            "proxy became ready at 0.400 s, main became ready at 0.600 s",
        ),
        (
            "proxy signalled before main exited",
            "main exited (code 0) at 3.000 s, proxy was signalled (SIGTERM) at 3.100 s",
        ),
        ("main killed before proxy exited", "proxy exited (code 137) at 5.200 s, but main never was killed"),
        ("proxy exited before main killed", "main never was killed"),
        ("main never exited", "main exited 2 times, at 1.000 s, 3.000 s"),
        ("proxy never killed", "proxy was killed (SIGKILL) at 5.100 s"),
        ("main killed", "main never was killed"),
        ("main 3rd started", "main never started a 3rd time"),
        ("main started == 3 times", "main started 2 times, at 0.500 s, 2.000 s"),
        ("pod web Failed", "pod web is Succeeded, Initialized, PodScheduled"),
        ("pod web not Initialized", "pod web is Succeeded, Initialized, PodScheduled"),
        ("pod web was Failed", "pod web never became Failed"),
        ("main ready within 500ms", "main became ready at 0.600 s, 0.600 s after it was begun"),
        (
            "proxy exited within 1s after proxy signalled",
            "proxy exited (code 137) at 5.200 s, proxy was signalled (SIGTERM) at 3.100 s: 2.100 s later",
        ),
        (
            "proxy started within 1s after main started",
            "proxy started at 0.100 s, main started at 0.500 s: 0.400 s before that, not after",
        ),
        ("main killed within 1s", "main never was killed"),
        (
            "main 2nd started at least 2s after main first exited",
            "main started for the 2nd time at 2.000 s, main exited first (code 3) at 1.000 s: 1.000 s later",
        ),
        ("main killed at least 1s after main started", "main never was killed"),
        ("event Unhealthy happened", "event Unhealthy: never"),
        ("event BackOff never happened", "event BackOff at 1.100 s"),
        (
            "event BackOff containing 'other' happened",
            "event BackOff with 'other': never",
        ),
        ("restarts of main == 0", "restarts of main: 1"),
        ("exit code of proxy < 128", "exit code of proxy: 137"),
        ("shutdown of web < 2s", "shutdown of pod web: 2.200 s"),
        ("shutdown of main < 2s", "shutdown of main: none, it was never asked to stop, or has not ended"),
        ("no SIGKILL", "proxy was sent SIGKILL at 5.100 s, 2.000 s after SIGTERM"),
        ("no SIGKILL of pod web", "proxy was sent SIGKILL at 5.100 s, 2.000 s after SIGTERM"),
        ('log of proxy contains "down"', "the log of proxy:\n  | up"),
        ("reason of main == Error", "the reason of main is 'Completed'"),
        ("message of main contains 'x'", "the message of main is empty"),
    ],
)
def test_it_does_not_hold(assertion: str, evidence: str) -> None:
    """And the moments that speak against it are named."""
    verdict = check(assertion, TYPICAL)

    assert not verdict.holds
    assert verdict.evidence == (evidence,)


def test_a_verdict_shows_itself() -> None:
    """As pytest prints it."""
    verdict = check("restarts of main == 0", TYPICAL)

    assert str(verdict) == "FAILED: restarts of main == 0\n  restarts of main: 1"
    assert isinstance(verdict, Verdict)


def test_when_it_was_decided_is_known() -> None:
    """Seconds from the beginning to the moment that settled it, or to the end."""
    assert check("proxy started before main", TYPICAL).seconds == pytest.approx(0.5)
    assert check("restarts of main == 1", TYPICAL).seconds == pytest.approx(5.2)


def test_at_one_instant_what_was_observed_first_came_first() -> None:
    """A probe's answer and what it lets start carry the same time in virtual time."""
    same = run("1 web/proxy ready", "1 web/main started")

    assert check("proxy ready before main started", same)
    assert not check("main started before proxy ready", same)


# ------------------------------------------------------------------------------------ several pods


def attempts(*lines: str, pods: Sequence[str] = ("work-a", "work-b"), **fields: int) -> Run:
    """A Job `work` of two pods."""
    return run(*lines, pods=[pod(name, job="work") for name in pods], jobs=[job("work", **fields)])  # type: ignore[arg-type]


IN_ORDER = ("1 work-a/proxy started", "2 work-a/main started", "3 work-b/proxy started")


def test_containers_of_one_pod_are_compared_with_each_other() -> None:
    """The second pod's sidecar starts after the first pod's main, which says nothing."""
    assert check("proxy started before main", attempts(*IN_ORDER, "4 work-b/main started"))


def test_every_pod_has_to_keep_the_order() -> None:
    """One that does not is named."""
    verdict = check("proxy started before main", attempts(*IN_ORDER, "2.5 work-b/main started"))

    assert verdict.evidence == ("work-b/main started at 2.500 s, work-b/proxy started at 3.000 s",)


def test_a_pod_in_which_the_later_one_never_happened_does_not_break_the_order() -> None:
    """Its init container failed, say; but in some pod it must have happened."""
    assert check("proxy started before main", attempts(*IN_ORDER))
    assert not check("proxy started before main", attempts("1 work-a/proxy started"))


def test_a_path_picks_one_pod() -> None:
    """`pod/container`, or the Job's name for all of its pods."""
    both = attempts("1 work-a/main exited 1", "2 work-b/main exited 0")

    assert check("work-a/main exited before work-b/main", both)
    assert check("work/main exited == 1 times", both)
    assert check("default/work-b/main exited after default/work-a/main", both)


def test_a_job_is_compared_with_its_pods() -> None:
    """Nothing is shared between them, so everything counts."""
    both = attempts("1 work-a/main exited", "2 work-b/main exited", "3 job:work Complete")

    assert check("job work Complete after main exited", both)
    assert not check("main exited after job work Complete", both)


def test_counts_and_conditions_of_a_job() -> None:
    """As its status has them at the end."""
    ended = run(pods=[pod("work-a", job="work")], jobs=[job("work", "Complete", succeeded=1, failed=2)])

    assert check("job work Complete", ended)
    assert check("job work not Failed", ended)
    assert check("failed pods of work == 2", ended)
    assert check("succeeded pods of job work >= 1", ended)


def test_why_a_job_failed() -> None:
    """The reason of the newest condition that is True."""
    ended = run(pods=[pod("work-a", job="work")], jobs=[job("work", "Failed", reason="BackoffLimitExceeded")])

    assert check("reason of job work == BackoffLimitExceeded", ended)


def test_what_a_job_did_not_get_to_make_never_happened() -> None:
    """No pod at all, but the names are those of its template."""
    nothing = attrs.evolve(run(jobs=[job("work", "Failed")]), pods=())

    assert not check("proxy started before main", nothing)
    assert not check("restarts of main == 0", nothing)
    assert not check("main started", nothing)
    assert not check("main ready within 5s", nothing)
    assert check("main never started", nothing)


def test_the_shutdown_of_a_job_is_that_of_each_of_its_pods() -> None:
    """The slowest decides."""
    both = attempts("1 work-a stopping", "2 work-a finished", "1 work-b stopping", "5 work-b finished")

    assert check("shutdown of work < 3s", both).evidence == ("shutdown of pod work-b: 4.000 s",)


def test_no_sigkill_of_a_job_looks_at_its_pods_only() -> None:
    """And at all of them."""
    pods = [pod("work-a", job="work"), pod("web")]
    ended = run("1 web/main killed", pods=pods, jobs=[job("work")])

    assert check("no SIGKILL of job work", ended)
    assert not check("no SIGKILL", ended)
    assert not check("no SIGKILL of web/main", ended)


# ------------------------------------------------------------------------------------ logs


def test_a_logged_text_may_come_in_pieces() -> None:
    """It was logged when its last piece was read."""
    log = ContainerLog([(1.0, b"acc"), (2.0, b"epting\nacce"), (3.0, b"pting")])

    assert log.times("accepting") == [2.0, 3.0]


def test_of_a_long_log_the_end_is_kept() -> None:
    """And it is said how much is not."""
    log = ContainerLog([(1.0, b"first"), (2.0, b"second")], limit=8)

    assert (log.text, log.lost) == ("second", 5)
    kept = attrs.evolve(timeline.run(), logs={("default/web", "main"): log})
    assert check('log of main contains "first"', kept).evidence == (
        "the log of main:\n  | second\n  (the first 5 bytes of it were not kept)",
    )
