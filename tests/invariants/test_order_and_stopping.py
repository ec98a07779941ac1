"""Each invariant of the way up and of the way down: a journal that breaks it, and one that nearly does."""

import attrs
import pytest
from pod_log import HOOKS, KILL, PROBE, Log, breaches, main, pod, sidecar

from minikubelet.api.pod import (
    Container,
    ContainerRestartRule,
    ContainerRestartRuleOnExitCodes,
    Lifecycle,
)
from minikubelet.invariants import order, stopping
from minikubelet.invariants.rules import POD_INVARIANTS

INIT, INIT2, SIDE, SIDE2 = Container("init"), Container("init2"), sidecar(), sidecar("side2")
WITH_INIT = pod(init=(INIT,))
WITH_SIDECAR = pod(init=(SIDE,))
WITH_SIDECARS = pod(init=(SIDE, SIDE2))
TWO = pod(main(), main("other"))
HOOKED = pod(main(lifecycle=HOOKS))
ALWAYS = pod(restart_policy="Always")
ALL_OVER = ContainerRestartRule("RestartAllContainers", ContainerRestartRuleOnExitCodes("In", (42,)))
RESTARTING = pod(main(restart_policy="Never", restart_policy_rules=(ALL_OVER,)), main("other"), init=(INIT,))


def probed(**probes):
    return pod(main(**{f"{kind}_probe": probe for kind, probe in probes.items()}), restart_policy="Always")


def up(subject=None, **fields):
    """main runs."""
    return Log(subject or pod(), **fields).start()


def post_started(subject=HOOKED):
    return up(subject).hook("postStart").returns("postStart")


def both_up():
    """A sidecar and main run."""
    return Log(WITH_SIDECAR).start("side").start()


def all_up():
    """Two sidecars and main run."""
    return Log(WITH_SIDECARS).start("side").start("side2").start()


def rebirth():
    """init is through, both mains run, and main has asked for all to be started over."""
    log = Log(RESTARTING).start("init").exit("init").start().start("other").at(1).exit(code=42)
    return log.signal("other")


CASES = {
    "one-live-attempt": [
        (up(ALWAYS).start(attempt=1), up(ALWAYS).exit().start(attempt=1)),
    ],
    "attempts-are-counted": [
        (up(ALWAYS).exit().start(attempt=2), up(ALWAYS).exit().start(attempt=1)),
        (up(ALWAYS).exit().start(), up(ALWAYS).exit().no_start(attempt=1).start(attempt=1)),
        (Log(pod()).no_start(recorded=True).start(), Log(pod()).no_start(recorded=True).start(attempt=1)),
    ],
    "nothing-before-prepared": [
        (Log(pod(), prepared=False).start().prepared(), Log(pod(), prepared=False).prepared().start()),
    ],
    "nothing-outlives-the-pod": [
        (up().removed().exit(), up().exit().removed()),
        (up().exit().removed().start(attempt=1), up().exit().removed().over()),
    ],
    "nothing-for-the-dead": [
        (up().exit().signal(), up().signal().exit()),
        (up().exit().ask("readiness"), up().ask("readiness").exit()),
        (up(HOOKED).exit().hook(), up(HOOKED).hook().exit().cancel()),
    ],
    "inits-never-overlap-mains": [
        (Log(WITH_INIT).start("init").start(), Log(WITH_INIT).start("init").exit("init").start()),
        (Log(WITH_INIT).start().start("init"), Log(WITH_INIT).start().exit().start("init")),
    ],
    "one-init-at-a-time": [
        (
            Log(pod(init=(INIT, INIT2))).start("init").start("init2"),
            Log(pod(init=(INIT, INIT2))).start("init").exit("init").start("init2"),
        ),
    ],
    "inits-start-in-order": [
        (Log(pod(init=(INIT, INIT2))).start("init2"), Log(pod(init=(INIT, INIT2))).start("init")),
        (  # exit 1 is retried, not passed
            Log(pod(init=(INIT, INIT2), restart_policy="OnFailure"))
            .start("init")
            .exit("init", 1)
            .start("init2"),
            Log(pod(init=(INIT, INIT2), restart_policy="OnFailure"))
            .start("init")
            .exit("init", 1)
            .start("init", 1),
        ),
        (
            Log(pod(init=(sidecar(startup_probe=PROBE), SIDE2))).start("side").start("side2"),
            Log(pod(init=(sidecar(startup_probe=PROBE), SIDE2)))
            .start("side")
            .answer("startup", name="side")
            .start("side2"),
        ),
    ],
    "names-are-used-again-when-free": [
        (
            up().delete().again().start(),
            up().delete().exit().removed().again().start(),
        ),
    ],
    "mains-start-after-inits": [
        (  # killed by the reboot of the sandbox, k/k#120247
            Log(WITH_INIT).start("init").exit("init", 137).start(),
            Log(WITH_INIT).start("init").exit("init", 0).start(),
        ),
        (
            Log(pod(init=(sidecar(lifecycle=HOOKS),))).start("side").hook("postStart", "side").start(),
            Log(pod(init=(sidecar(lifecycle=HOOKS),)))
            .start("side")
            .hook("postStart", "side")
            .returns("postStart", "side")
            .start(),
        ),
        (  # the stricter start gate waits for readiness, the kubelet's does not
            Log(pod(init=(sidecar(readiness_probe=PROBE),)), gate="ready").start("side").start(),
            Log(pod(init=(sidecar(readiness_probe=PROBE),)), gate="started").start("side").start(),
        ),
        (  # a failing gate stays closed; SIDE-6: a sidecar that was lost after it was passed closes no gate
            Log(pod(init=(sidecar(startup_probe=PROBE),)))
            .start("side")
            .answer("startup", "failure", "side")
            .start(),
            Log(WITH_SIDECAR).start("side").no_start().exit("side").start(),
        ),
        (  # after an in-place restart the inits are due again
            rebirth().exit("other", 137).start_over().start(attempt=1),
            rebirth()
            .exit("other", 137)
            .start_over()
            .start("init", 1)
            .exit("init", attempt=1)
            .start(attempt=1),
        ),
    ],
    "completed-inits-stay-down": [
        (
            Log(WITH_INIT).start("init").exit("init").start().exit().start("init", 1),
            Log(pod(init=(INIT,), restart_policy="OnFailure")).start("init").exit("init", 1).start("init", 1),
        ),
    ],
    "mains-start-in-order": [
        (Log(TWO).start("other").start(), Log(TWO).start().start("other")),
        (
            Log(pod(main(lifecycle=HOOKS), main("other"))).start().start("other"),
            Log(pod(main(lifecycle=HOOKS), main("other")))
            .start()
            .hook("postStart")
            .returns("postStart")
            .start("other"),
        ),
        (  # in its first attempt only, and not when it could not be started at all
            Log(pod(main(lifecycle=HOOKS), main("other"), restart_policy="Always"))
            .start()
            .hook("postStart")
            .start("other"),
            Log(pod(main(lifecycle=HOOKS), main("other"), restart_policy="Always"))
            .start()
            .hook("postStart")
            .exit()
            .start(attempt=1)
            .start("other"),
        ),
        (
            Log(pod(main(lifecycle=HOOKS), main("other"))).start().start("other"),
            Log(pod(main(lifecycle=HOOKS), main("other"))).no_start().start("other"),
        ),
    ],
    "nothing-starts-while-ending": [
        (up(ALWAYS).delete().exit().start(attempt=1), up(ALWAYS).exit().start(attempt=1).delete()),
        (both_up().exit().exit("side").start("side", 1), both_up().exit("side").start("side", 1)),
        (  # an init that failed for good
            Log(pod(init=(SIDE, INIT))).start("side").start("init").exit("init", 1).start(),
            Log(pod(init=(SIDE, INIT))).start("side").start("init").exit("init", 0).start(),
        ),
        (  # the deadline, and the last instant before it
            up(pod(restart_policy="Always", active_deadline_seconds=9)).exit().at(9.5).start(attempt=1),
            up(pod(restart_policy="Always", active_deadline_seconds=9)).exit().at(8.5).start(attempt=1),
        ),
        (rebirth().start("init", 1), rebirth().exit("other", 143).start_over().start("init", 1)),
    ],
    "restarts-in-place-are-clean": [
        (up(ALWAYS).exit(code=42).start_over(), rebirth().exit("other", 143).start_over()),
        (rebirth().start_over(), rebirth().exit("other", 143).start_over()),
    ],
    # ------------------------------------------------------------------ the way down
    "nothing-is-stopped-without-cause": [
        (up().at(1).signal(), up().at(1).delete().signal()),
        (
            up(probed(readiness=PROBE)).answer("readiness", "failure").signal(),
            up(probed(liveness=PROBE)).answer("liveness", "failure").signal(),
        ),
        (
            up(probed(liveness=attrs.evolve(PROBE, failure_threshold=2)))
            .answer("liveness", "failure")
            .signal(),
            up(probed(liveness=attrs.evolve(PROBE, failure_threshold=2)))
            .answer("liveness", "failure")
            .answer("liveness", "failure")
            .signal(),
        ),
        (  # a sidecar is in use until the last main has ended for good
            Log(pod(init=(SIDE,), restart_policy="OnFailure"))
            .start("side")
            .start()
            .exit(code=1)
            .signal("side"),
            Log(pod(init=(SIDE,), restart_policy="OnFailure"))
            .start("side")
            .start()
            .exit(code=0)
            .signal("side"),
        ),
    ],
    "killing-is-told-once": [
        (up().killing(), up().delete().killing()),
        (up().delete().killing().killing(), up().delete().killing()),
        (up().delete().signal().at(1).exit().over(), up().delete().killing().signal().at(1).exit().over()),
        (
            up(probed(liveness=PROBE)).answer("liveness", "failure").killing(),
            up(probed(liveness=PROBE))
            .answer("liveness", "failure")
            .killing(message="Container main failed liveness probe, will be restarted"),
        ),
    ],
    "prestops-begin-at-once": [
        (
            post_started().at(1).delete().signal().at(2).exit(),
            post_started().at(1).delete().hook().at(2).exit(),
        ),
        (post_started().at(1).delete().at(2).hook(), post_started().at(1).delete().hook()),
        (  # HOOK-5: no grace, no preStop
            up(pod(main(lifecycle=HOOKS), grace=0, active_deadline_seconds=1))
            .at(1)
            .event("DeadlineExceeded")
            .hook(),
            up(pod(main(lifecycle=HOOKS), grace=1, active_deadline_seconds=1))
            .at(1)
            .event("DeadlineExceeded")
            .hook(),
        ),
    ],
    "hooks-run-once": [
        (
            post_started().at(1).delete().hook().returns().hook(),
            post_started().at(1).delete().hook().returns(),
        ),
    ],
    "poststart-runs-at-once": [
        (up(HOOKED).at(1).hook("postStart"), up(HOOKED).hook("postStart")),
        (up(HOOKED).at(1).exit(), up(HOOKED).exit()),
    ],
    "hooks-end-with-their-container": [
        (
            up(HOOKED).hook("postStart").at(1).exit(),
            up(HOOKED).hook("postStart").at(1).exit().cancel("postStart"),
        ),
        (
            up(HOOKED).hook("postStart").at(1).exit().at(2).cancel("postStart"),
            up(HOOKED).hook("postStart").at(1).exit().cancel("postStart"),
        ),
        (  # k/k#116032: a postStart blocks a deletion
            up(HOOKED).hook("postStart").at(1).delete().at(2).returns("postStart"),
            up(HOOKED).hook("postStart").at(1).delete().cancel("postStart").at(2).exit(),
        ),
    ],
    "prestops-have-the-grace": [
        (
            post_started().at(1).delete().hook().at(7).cancel(),
            post_started().at(1).delete().hook().at(6).cancel(),
        ),
        (
            post_started().at(1).delete().hook().at(5).cancel(),
            post_started().at(1).delete().hook().at(2).delete(1).at(3).cancel(),
        ),
        (
            post_started().at(1).delete().hook().at(9).exit(),
            post_started().at(1).delete().hook().at(5).exit(),
        ),
    ],
    "prestop-before-signal": [
        (
            post_started().at(1).delete().hook().signal().returns(),
            post_started().at(1).delete().hook().returns().signal(),
        ),
    ],
    "stop-signal-then-sigkill": [
        (up().delete().signal(number=KILL), up().delete().signal().signal(number=KILL)),
        (up().delete().signal().signal(), up().delete().signal()),
        (
            up().delete().signal().signal(number=KILL).signal(number=KILL),
            up().delete().signal().signal(number=KILL),
        ),
        (
            up(pod(main(lifecycle=Lifecycle(stop_signal="SIGINT")))).delete().signal(),
            up(pod(main(lifecycle=Lifecycle(stop_signal="SIGINT")))).delete().signal(number=2),
        ),
        (
            up(pod(main(lifecycle=Lifecycle(stop_signal="SIGRTMIN+3")))).delete().signal(number=36),
            up(pod(main(lifecycle=Lifecycle(stop_signal="SIGRTMIN+3")))).delete().signal(number=37),
        ),
    ],
    "stop-signal-in-time": [
        (up().at(1).delete().at(2).signal(), up().at(1).delete().signal()),
        (up().at(1).delete().at(2).exit(), up().at(1).delete().exit()),
        (up().at(1).delete().over(finished=False), up().at(1).delete().signal().over(finished=False)),
        (  # k/k#125880: a sidecar that does not get its turn
            both_up().at(1).delete().signal().at(2).exit().at(3).signal("side"),
            both_up().at(1).delete().signal().at(2).exit().signal("side"),
        ),
        (  # SIDE-31: its turn comes at the deadline at the latest
            both_up().at(1).delete().signal().at(7).signal("side"),
            both_up().at(1).delete().signal().at(6).signal("side"),
        ),
        (  # a slow one holds up no other main (TERM-6)
            Log(TWO).start().start("other").at(1).delete().signal().at(2).exit().signal("other"),
            Log(TWO).start().start("other").at(1).delete().signal().signal("other").at(2).exit(),
        ),
        (  # SIDE-29: a sidecar does not wait for a running init
            Log(pod(init=(SIDE, INIT)))
            .start("side")
            .start("init")
            .at(1)
            .delete()
            .signal("init")
            .at(2)
            .exit("init", 143)
            .signal("side"),
            Log(pod(init=(SIDE, INIT)))
            .start("side")
            .start("init")
            .at(1)
            .delete()
            .signal("init")
            .signal("side"),
        ),
    ],
    "sidecars-stop-in-reverse": [
        (both_up().delete().signal("side").signal(), both_up().delete().signal().exit().signal("side")),
        (
            all_up().delete().signal().exit().signal("side").signal("side2"),
            all_up().delete().signal().exit().signal("side2").exit("side2").signal("side"),
        ),
        (
            both_up().delete().signal().at(4.5).signal("side"),
            both_up().delete().signal().at(5).signal("side"),
        ),
    ],
    "sigkill-only-after-the-grace": [
        (
            up().delete().signal().at(4.9).signal(number=KILL),
            up().delete().signal().at(5).signal(number=KILL),
        ),
        (
            up().delete(1).signal().at(1.5).signal(number=KILL),
            up().delete(1).signal().at(2).signal(number=KILL),
        ),
        (
            up().delete().at(4).signal().at(5.5).signal(number=KILL),
            up().delete().at(4).signal().at(6).signal(number=KILL),
        ),
        (  # SIDE-30: of 5 s, 1.5 use up one
            post_started().delete(5).hook().at(1.5).returns().signal().at(5).signal(number=KILL),
            post_started().delete(5).hook().at(1.5).returns().signal().at(5.5).signal(number=KILL),
        ),
        (  # PROBE-31: the grace of the probe that failed
            up(probed(liveness=attrs.evolve(PROBE, termination_grace_period_seconds=20)))
            .answer("liveness", "failure")
            .signal()
            .at(5)
            .signal(number=KILL),
            up(probed(liveness=attrs.evolve(PROBE, termination_grace_period_seconds=3)))
            .answer("liveness", "failure")
            .signal()
            .at(3)
            .signal(number=KILL),
        ),
    ],
    "sigkill-in-time": [
        (up().delete().signal().at(6).signal(number=KILL), up().delete().signal().at(5).signal(number=KILL)),
        (up().delete().signal().at(6).exit(), up().delete().signal().at(5).exit()),
        (  # SIDE-30
            post_started().delete(5).hook().at(1.5).returns().signal().at(6).signal(number=KILL),
            post_started().delete(5).hook().at(1.5).returns().signal().at(5.5).signal(number=KILL),
        ),
        (  # TERM-4: a second deletion shortens, and never prolongs
            up().delete(5).signal().at(1).delete(1).at(5).signal(number=KILL),
            up().delete(5).signal().at(1).delete(30).at(5).signal(number=KILL),
        ),
    ],
    "shutdown-within-the-grace": [
        (  # k/k#117373: the grace begins again after preStop
            post_started().delete(5).hook().at(4).returns().signal().at(9).signal(number=KILL),
            post_started().delete(5).hook().at(4).returns().signal().at(6).signal(number=KILL),
        ),
        (
            both_up().delete(5).signal().at(5).signal("side").at(8).signal("side", KILL),
            both_up().delete(5).signal().at(5).signal("side").signal(number=KILL).at(7).signal("side", KILL),
        ),
        (up().delete(5).at(9).exit(), up().delete(5).at(6.5).exit()),
    ],
    "the-deadline-ends-the-pod": [
        (
            up(pod(active_deadline_seconds=9)).at(10).signal(),
            up(pod(active_deadline_seconds=9)).at(8).delete(),
        ),
        (
            up(pod(active_deadline_seconds=9)).at(7).event("DeadlineExceeded"),
            up(pod(active_deadline_seconds=9)).at(9).event("DeadlineExceeded"),
        ),
        (
            up(pod(active_deadline_seconds=9)).over(finished=False),
            up(pod(active_deadline_seconds=9)).exit().over(),
        ),
    ],
    "finished-when-empty": [
        (up().at(1).exit().at(2).removed(), up().at(1).exit().removed()),
        (up(ALWAYS).exit().removed(), up(ALWAYS).delete().exit().removed()),
        (up().exit().over(finished=False), up(ALWAYS).exit().over(finished=False)),
        (Log(pod()).delete().at(1).removed(), Log(pod()).delete().removed()),
    ],
}

ROWS = [(name, broken, kept) for name, rows in CASES.items() for broken, kept in rows]


@pytest.mark.parametrize(("name", "broken", "kept"), ROWS, ids=[row[0] for row in ROWS])
def test_an_invariant_sees_what_breaks_it_and_nothing_else(name, broken, kept):
    assert breaches(name, broken.journal)
    assert not breaches(name, kept.journal)


def test_every_invariant_of_order_and_stopping_has_its_cases():
    stated = {
        invariant.name
        for invariant in POD_INVARIANTS
        if invariant.breaches.__module__ in (order.__name__, stopping.__name__)
    }

    assert stated == set(CASES)


def test_lengths_are_judged_with_the_tolerance_of_the_journal():
    """Of a real machine; the order of two entries is judged as strictly as ever."""
    late = up(tolerance=0.5).at(1).delete().at(1.4).signal()

    assert not breaches("stop-signal-in-time", late.journal)
    assert breaches("nothing-is-stopped-without-cause", up(tolerance=0.5).signal().delete().journal)


@pytest.mark.parametrize("seconds", [0.1, 0.9], ids=["together", "one after the other"])
def test_EVENT_2_who_fails_just_before_a_deletion_may_go_for_either_reason(seconds):
    """On a real machine both may be taken notice of in the same turn."""
    log = (
        up(probed(liveness=PROBE), tolerance=0.5).answer("liveness", "failure").at(seconds).delete().killing()
    )

    assert bool(breaches("killing-is-told-once", log.journal)) == (seconds > 0.5)


@pytest.mark.parametrize("second", [1, 5], ids=["over before anybody acts", "not over"])
def test_HOOK_5_a_grace_that_is_shortened_at_once_may_leave_a_late_machine_no_time_for_preStop(second):
    """The second deletion comes before the first one was taken notice of."""
    log = up(HOOKED, tolerance=1.2).at(1).delete(30).at(1.1).delete(second).at(2.3).signal().at(9).exit()

    assert bool(breaches("prestops-begin-at-once", log.journal)) == (second > 1)


@pytest.mark.parametrize("seconds", [0.1, 0.9], ids=["together", "one after the other"])
def test_PROBE_30_who_goes_for_a_deletion_just_after_it_failed_has_the_time_of_the_deletion(seconds):
    """TERM-4: it is the event that says which of both was the reason."""
    log = up(probed(liveness=PROBE), tolerance=0.5).answer("liveness", "failure").at(seconds).delete(20)
    log.killing().signal().at(20 + seconds).signal(number=KILL).exit(code=137)

    assert bool(breaches("sigkill-in-time", log.journal)) == (seconds > 0.5)


@pytest.mark.parametrize("seconds", [0.1, 0.9], ids=["together", "one after the other"])
def test_RESTART_13_who_fails_just_before_all_are_restarted_may_go_for_either_reason(seconds):
    """On a real machine both may be taken notice of in the same turn."""
    asks = main("asks", restart_policy="Never", restart_policy_rules=(ALL_OVER,))
    subject = pod(main(liveness_probe=PROBE), asks, restart_policy="Always")
    log = up(subject, tolerance=0.5).start("asks").answer("liveness", "failure")
    log.at(seconds).exit("asks", 42).killing()

    assert bool(breaches("killing-is-told-once", log.journal)) == (seconds > 0.5)


def test_RESTART_10_who_ended_before_anybody_could_act_on_its_probe_was_not_killed_by_it():
    """On a real machine both may be taken notice of in the same turn."""
    subject = pod(main(liveness_probe=PROBE), restart_policy="OnFailure")
    gone = up(subject, tolerance=0.5).answer("liveness", "failure").exit().removed()
    killed = up(subject, tolerance=0.5).answer("liveness", "failure").signal().exit().removed()

    assert not breaches("finished-when-empty", gone.journal)
    assert breaches("finished-when-empty", killed.journal)
