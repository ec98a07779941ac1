"""What follows an exit: each invariant holds in true journals and is broken by its fault."""

from math import inf

import attrs
import pytest

from invariants.journals import after, broken, entries, later, lived, replaced, without
from minikubelet.api.pod import ContainerRestartRule, ContainerRestartRuleOnExitCodes, Probe
from minikubelet.invariants.journal import Entry
from minikubelet.lifecycle.settings import LifecycleSettings
from minikubelet.runtime.base import StartError
from minikubelet.runtime.simulated import HookScript, Script
from simulation import container, pod, sidecar

OTHER = container("other")
"Keeps the pod going."


def crashes(*lasts, code=1):
    return {"main": tuple(Script(seconds, code) for seconds in lasts)}


def from_start(journal, name, attempt):
    """Everything from that start of the container on."""
    index = journal.entries.index(entries(journal, "started", name)[attempt])
    return journal.entries[index:-1]


@pytest.fixture(scope="module")
def looping():
    """A main that exits after one second each time; it runs at 0, 1, 12, 33 and 74 s."""
    return lived(pod(), scripts=crashes(1.0), ends_at=100.0)


def test_BACKOFF_2_the_true_waits_break_nothing(looping):
    assert [entry.at for entry in entries(looping, "started")] == [0, 1, 12, 33, 74]
    assert broken(looping) == set()


def test_BACKOFF_4_a_restart_before_its_time_is_found(looping):
    assert "no-restart-is-early" in broken(later(looping, -1.0, *from_start(looping, "main", 4)))


def test_BACKOFF_2_a_first_restart_that_waits_is_found(looping):
    assert "every-restart-happens" in broken(later(looping, 10.0, *from_start(looping, "main", 1)))


def test_I2_a_main_that_is_never_restarted_is_found(looping):
    """As k/k#137146 had it."""
    lost = [e for e in from_start(looping, "main", 3) if e.what not in ("deletion", "removed")]

    assert "every-restart-happens" in broken(without(looping, *lost))


@pytest.mark.parametrize(("lasts", "waits"), [(5.0, 10.0), (5.0 + 1 / 1024, 0.0)])
def test_BACKOFF_5_only_a_longer_run_than_the_limit_resets(lasts, waits):
    """What holds for one run does not hold for the other, which is a tick longer."""
    settings = LifecycleSettings(backoff_reset=5.0)
    journal = lived(pod(), scripts=crashes(1.0, lasts, inf), settings=settings, ends_at=60.0)
    second, third = entries(journal, "exited")[1], entries(journal, "started")[2]

    assert third.at - second.at == waits
    assert broken(journal) == set()
    moved = later(journal, 10.0 - 2 * waits, *from_start(journal, "main", 2))
    assert broken(moved) & {"every-restart-happens", "no-restart-is-early"}


@pytest.mark.parametrize(("lasts", "waited", "would_wait"), [(4.999, 10.0, 0.0), (5.001, 0.0, 10.0)])
def test_BACKOFF_5_in_real_time_the_limit_is_no_matter_of_milliseconds(lasts, waited, would_wait):
    """Whether a run was longer than it is then told by what follows; half a wait is wrong either way."""
    settings = LifecycleSettings(backoff_reset=5.0)
    journal = lived(pod(), scripts=crashes(1.0, lasts, inf), settings=settings, ends_at=60.0)
    other = later(journal, would_wait - waited, *from_start(journal, "main", 2))
    half = later(journal, 5.0 - waited, *from_start(journal, "main", 2))

    judges = {"every-restart-happens", "no-restart-is-early"}

    assert broken(other) & judges
    journal.tolerance = other.tolerance = half.tolerance = 1.0
    assert broken(journal) == broken(other) & judges == set()
    assert broken(half) & judges


def test_RESTART_20_in_real_time_the_limit_is_no_matter_of_milliseconds_for_a_pod_that_goes_down_slowly():
    """It takes two seconds to go down, so a restart after two tells that none of four was waited for."""
    main = container("main", restart_policy="Never", restart_policy_rules=(rule("RestartAllContainers", 42),))
    scripts = crashes(1.0, 5.0 + 1 / 1024, inf, code=42) | {"other": (Script(term_lasts=inf),)}
    settings = LifecycleSettings(backoff_base=4.0, backoff_reset=5.0)
    journal = lived(pod(main=[main, OTHER]), scripts=scripts, settings=settings, ends_at=60.0)
    sooner = later(journal, -2 / 1024, entries(journal, "exited", "main")[1])

    assert [entry.at for entry in entries(journal, "started", "main")] == [0.0, 3.0, 10.0 + 1 / 1024]
    assert broken(journal) == set()
    assert "in-place-restarts-begin-empty" in broken(sooner)
    sooner.tolerance = 1.0
    assert broken(sooner) == set()


def test_BACKOFF_8_a_wait_beyond_the_cap_is_found():
    settings = LifecycleSettings(backoff_base=4.0, backoff_max=4.0)
    journal = lived(pod(), scripts=crashes(1.0, 1.0, 1.0, inf), settings=settings, ends_at=60.0)

    assert broken(journal) == set()
    assert "every-restart-happens" in broken(later(journal, 4.0, *from_start(journal, "main", 3)))


def test_BACKOFF_13_a_failed_start_is_tried_again_after_the_flat_delay():
    nothing = Script(start_error=StartError("CreateContainerConfigError", "no settings"))
    journal = lived(pod(), scripts={"main": (nothing, Script())}, ends_at=60.0)
    second = from_start(journal, "main", 0)

    assert second[0].at == 10.0
    assert broken(journal) == set()
    assert "every-restart-happens" in broken(later(journal, 1.0, *second))
    assert "no-restart-is-early" in broken(later(journal, -1.0, *second))


@pytest.mark.parametrize(("policy", "code"), [("Never", 1), ("OnFailure", 0)])
def test_RESTART_4_a_restart_of_what_is_over_is_found(policy, code):
    """The same journal is a true one under Always."""
    journal = lived(pod(main=[container("main"), OTHER]), scripts=crashes(1.0, inf, code=code), ends_at=9.0)
    begun = entries(journal, "begun")[0]
    spec = attrs.evolve(begun.detail.spec, restart_policy=policy)
    otherwise = replaced(journal, begun, detail=attrs.evolve(begun.detail, spec=spec))

    assert broken(journal) == set()
    assert "what-is-over-stays-over" in broken(otherwise)


def test_RESTART_10_a_main_killed_for_liveness_counts_as_failed_under_OnFailure():
    main = container("main", liveness_probe=Probe(period_seconds=1, failure_threshold=1))
    scripts = {"main": (Script(unhealthy_after=2.0, term_exit_code=0), Script())}
    journal = lived(pod(main=[main, OTHER], restart_policy="OnFailure"), scripts=scripts, ends_at=20.0)
    answer = entries(journal, "probeEnded", "main", ("liveness", "failure", 0.0))[0]
    by_itself = replaced(journal, answer, detail=("liveness", "success", 0.0))

    assert len(entries(journal, "started", "main")) == 2
    assert broken(journal) == set()
    assert "what-is-over-stays-over" in broken(by_itself)


def test_I7_a_sidecar_that_is_not_restarted_because_the_pod_never_restarts_is_found():
    """As k/k#132826 had it."""
    journal = lived(
        pod(init=[sidecar("side")], restart_policy="Never"),
        scripts={"side": (Script(5.0, 1), Script())},
        ends_at=20.0,
    )
    second = [e for e in journal.entries if e.container == "side" and e.attempt == 1]

    assert broken(journal) == set()
    assert "every-restart-happens" in broken(without(journal, *second))


def rule(action, *codes):
    return ContainerRestartRule(action, ContainerRestartRuleOnExitCodes("In", codes))


def test_RESTART_8_an_exit_that_a_rule_restarts_and_nobody_does_is_found():
    main = container("main", restart_policy="Never", restart_policy_rules=(rule("Restart", 42),))
    journal = lived(pod(main=[main, OTHER]), scripts={"main": (Script(1.0, 42), Script())}, ends_at=20.0)
    second = [e for e in journal.entries if e.container == "main" and e.attempt == 1]
    exited = entries(journal, "exited", "main")[0]

    assert broken(journal) == set()
    assert "every-restart-happens" in broken(without(journal, *second))
    assert "what-is-over-stays-over" in broken(replaced(journal, exited, detail=41))


def test_RESTART_13_what_was_decided_together_with_a_start_that_failed_is_started_nevertheless():
    """However many they are: the failure is known when all of them have been tried."""
    error = StartError("RunContainerError", "No such file or directory", recorded=True)
    main = container(
        "main", restart_policy="Never", restart_policy_rules=(rule("RestartAllContainers", 128),)
    )
    scripts = {"main": (Script(start_error=error), Script(inf))}
    journal = lived(pod(main=(main, container("b"), container("c"))), scripts=scripts, ends_at=20.0)

    assert [e.attempt for e in entries(journal, "started", "c")] == [0, 1]
    assert broken(journal) == set()


def test_RESTART_13_a_start_amid_the_restart_of_all_containers_is_found():
    main = container("main", restart_policy="Never", restart_policy_rules=(rule("RestartAllContainers", 42),))
    slow = Script(term_lasts=1.0)
    journal = lived(
        pod(init=[sidecar("side")], main=[main]),
        scripts={"main": (Script(3.0, 42), Script()), "side": (slow,)},
        ends_at=20.0,
    )
    again = entries(journal, "started", "side")[1]

    assert again.at == 4.0
    assert broken(journal) == set()
    too_early = Entry(3.5, "started", "default/p", "main", 1)
    last_of_before = [e for e in journal.entries if e.at == 3.0][-1]
    assert "in-place-restarts-begin-empty" in broken(after(journal, last_of_before, too_early))


def test_BACKOFF_11_a_wait_without_its_reason_is_found(looping):
    second = entries(looping, "exited")[1]
    published = next(e for e in entries(looping, "published") if e.at == second.at)
    before = entries(looping, "published")[0]

    assert "waits-have-reasons" in broken(replaced(looping, published, detail=before.detail))


def test_MAIN_1_another_try_of_a_first_start_waits_for_the_postStart_of_a_main_before_it():
    """Both fail at 0 s; at 10 s the one in front is in its postStart, for 2 s."""
    nothing = Script(start_error=StartError("CreateContainerConfigError", "no settings"))
    slow = Script(post_start=HookScript(2.0))
    scripts = {"main": (nothing, slow), "other": (nothing, Script())}
    journal = lived(pod(main=[container("main", post_start=True), OTHER]), scripts=scripts, ends_at=20.0)
    second = from_start(journal, "other", 0)

    assert second[0].at == 12.0
    assert broken(journal) == set()
    assert "every-restart-happens" in broken(later(journal, 1.0, *second))
