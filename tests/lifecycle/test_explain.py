"""What `explain` tells is what happens: its numbers against the simulation, its words against the spec."""

from itertools import accumulate, pairwise
from math import inf

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from job_history import History, make_job

from minikubelet.api.job import (
    PodFailurePolicy,
    PodFailurePolicyOnExitCodesRequirement,
    PodFailurePolicyRule,
    SuccessPolicy,
    SuccessPolicyRule,
)
from minikubelet.api.pod import (
    Container,
    ContainerPort,
    ContainerRestartRule,
    ContainerRestartRuleOnExitCodes,
    ExecAction,
    HTTPGetAction,
    Lifecycle,
    LifecycleHandler,
    Pod,
    PodSpec,
    Probe,
    SleepAction,
)
from minikubelet.lifecycle.explain import (
    Row,
    backoff_delays,
    ends_by_itself,
    explain,
    latest_kill,
    longest_shutdown,
    noticed_after,
    outcome,
    replacement_delays,
    spoken,
    verdict_after,
)
from minikubelet.lifecycle.settings import LifecycleSettings
from minikubelet.runtime.simulated import HookScript, Script
from simulation import container, delete, pod, run, sidecar

SETTINGS = LifecycleSettings()
FEW = settings(max_examples=40, deadline=None)
TERM = 15


# ------------------------------------------------------------------ times, against the simulation

probes = st.builds(
    Probe,
    initial_delay_seconds=st.integers(0, 20),
    timeout_seconds=st.integers(1, 15),
    period_seconds=st.integers(1, 12),
    failure_threshold=st.integers(1, 4),
)


@FEW
@given(probes, st.booleans())
def test_PROBE_15_a_startup_probe_gives_up_exactly_when_it_is_told(probe: Probe, slow: bool) -> None:
    """The earlier time if every answer comes at once, the later one if none does."""
    never_up = Script(starts_up_after=inf, probe_lasts=(inf if slow else 0.0,))

    done = run(pod(main=[container("main", startup_probe=probe)]), {"main": never_up}, until=200)

    assert done.times("signal", "main", TERM)[0] == verdict_after(probe)[slow]


@FEW
@given(probes, st.floats(0.5, 60))
def test_PROBE_12_a_hanging_container_is_found_out_in_the_time_that_is_told(
    probe: Probe, hangs_after: float
) -> None:
    first = verdict_after(probe)[0]
    hangs_at = max(hangs_after, first)

    done = run(
        pod(main=[container("main", liveness_probe=probe)]),
        {"main": Script(unhealthy_after=hangs_at)},
        until=300,
    )

    assert done.times("signal", "main", TERM)[0] - hangs_at <= noticed_after(probe)


def test_PROBE_12_no_shorter_time_would_be_true() -> None:
    """It hangs right after a good answer, and each further probe runs into its timeout but the last."""
    probe = Probe(period_seconds=10, timeout_seconds=1, failure_threshold=3)

    done = run(
        pod(main=[container("main", liveness_probe=probe)]),
        {"main": Script(unhealthy_after=20.001, probe_lasts=(0.999,))},
        until=100,
    )

    (noticed_at,) = done.times("signal", "main", TERM)[:1]
    assert noticed_after(probe) - 0.01 < noticed_at - 20.001 <= noticed_after(probe)


def hooked(name: str, hook: LifecycleHandler | None, **fields: str) -> Container:
    return Container(name, lifecycle=Lifecycle(pre_stop=hook) if hook else None, **fields)


def stubborn(subject: Container, **fields: float) -> Script:
    """Ignores its signal; an exec hook hangs, a sleep hook takes as long as it says."""
    hook = subject.lifecycle.pre_stop if subject.lifecycle else None
    lasts = float(hook.sleep.seconds) if hook and hook.sleep else inf
    return Script(term_lasts=inf, pre_stop=HookScript(lasts), **fields)


@st.composite
def stubborn_pods(draw: st.DrawFn) -> Pod:
    """VALID-13: a sleep is not longer than the grace."""
    grace = draw(st.integers(0, 8))
    sleeps = st.integers(0, grace).map(lambda seconds: LifecycleHandler(sleep=SleepAction(seconds)))
    hooks = st.none() | st.just(LifecycleHandler(exec=ExecAction(("drain",)))) | sleeps
    mains = [hooked(f"m{i}", draw(hooks)) for i in range(draw(st.integers(1, 2)))]
    sidecars = [hooked(f"s{i}", draw(hooks), restart_policy="Always") for i in range(draw(st.integers(0, 3)))]
    return pod(init=sidecars, main=mains, grace=grace, restart_policy="Never")


@FEW
@given(stubborn_pods())
def test_SIDE_31_the_longest_shutdown_is_the_one_of_a_pod_in_which_nobody_listens(subject: Pod) -> None:
    scripts = {name: stubborn(c) for name, c in subject.spec.all_containers.items()}

    done = run(subject, scripts, {10.0: delete()})

    grace = max(subject.spec.termination_grace_period_seconds, 1)  # TERM-5
    last = max(t.at for t in done.trace if t.what == "exit")
    assert last - 10 == longest_shutdown(subject.spec, grace, SETTINGS)


@FEW
@given(stubborn_pods())
def test_SIDE_22_the_longest_shutdown_of_sidecars_whose_mains_are_done(subject: Pod) -> None:
    scripts = {name: stubborn(c) for name, c in subject.spec.sidecars.items()}
    scripts |= {c.name: Script(lasts=5) for c in subject.spec.containers}

    done = run(subject, scripts)

    grace = subject.spec.termination_grace_period_seconds
    last = max(t.at for t in done.trace if t.what == "exit")
    assert last - 5 == longest_shutdown(subject.spec, grace, SETTINGS, mains=False)


@FEW
@given(stubborn_pods(), st.lists(st.floats(0, 12) | st.just(inf), min_size=10, max_size=10))
def test_SIDE_31_no_pod_takes_longer_than_the_longest_shutdown(subject: Pod, lengths: list[float]) -> None:
    scripts = {
        name: Script(term_lasts=lengths[2 * i], pre_stop=HookScript(lengths[2 * i + 1]))
        for i, (name, c) in enumerate(subject.spec.all_containers.items())
        if not (c.lifecycle and c.lifecycle.pre_stop and c.lifecycle.pre_stop.sleep)
    }

    done = run(subject, scripts, {10.0: delete()})

    grace = max(subject.spec.termination_grace_period_seconds, 1)
    last = max(t.at for t in done.trace if t.what == "exit")
    assert last - 10 <= longest_shutdown(subject.spec, grace, SETTINGS)


@pytest.mark.parametrize("hook", [None, LifecycleHandler(exec=ExecAction(("drain",)))])
@pytest.mark.parametrize("grace", [1, 5])
def test_PROBE_31_a_condemned_container_is_gone_when_it_is_told(
    hook: LifecycleHandler | None, grace: int
) -> None:
    probe = Probe(period_seconds=1, failure_threshold=1, termination_grace_period_seconds=grace)
    lifecycle = Lifecycle(pre_stop=hook) if hook else None
    main = Container("main", liveness_probe=probe, lifecycle=lifecycle)

    done = run(
        pod(main=[main], restart_policy="Never"),
        {"main": Script(unhealthy_after=3, term_lasts=inf, pre_stop=HookScript(inf))},
    )

    assert done.times("exit", "main") == [3 + latest_kill(main, grace, SETTINGS)]


def test_BACKOFF_2_a_crash_loop_restarts_when_it_is_told() -> None:
    done = run(pod(), {"main": Script(lasts=0, exit_code=1)}, until=1000)

    delays = backoff_delays(SETTINGS, 7)
    assert delays == (0, 10, 20, 40, 80, 160, 300)
    assert done.times("start", "main")[1:8] == list(accumulate(delays))


@pytest.mark.parametrize("base, most", [(1, 4), (20, 10), (0, 5)])
def test_BACKOFF_8_also_with_other_settings(base: float, most: float) -> None:
    tuned = LifecycleSettings(backoff_base=base, backoff_max=most)

    done = run(pod(), {"main": Script(lasts=1, exit_code=1)}, settings=tuned, until=100)

    starts = done.times("start", "main")
    waits = [later - earlier - 1 for earlier, later in pairwise(starts)]
    assert tuple(waits[:5]) == backoff_delays(tuned, 5)


@pytest.mark.parametrize("limit", [0, 1, 3, 8])
def test_JOB_8_JOB_10_failing_pods_are_replaced_when_it_is_told(limit: int) -> None:
    history = History(backoff_limit=limit)
    instants = [0.0, *accumulate(replacement_delays(limit, SETTINGS))]
    for number, instant in enumerate(instants, 1):
        history.at(instant)
        assert len(history.created) == number
        history.fail(f"p{number}")

    assert len(instants) == limit + 1
    assert ("Failed", "True", "BackoffLimitExceeded") in history.conditions


# ------------------------------------------------------------------ exits, against the simulation

RULES = (
    ContainerRestartRule("Restart", ContainerRestartRuleOnExitCodes("In", (42,))),
    ContainerRestartRule("RestartAllContainers", ContainerRestartRuleOnExitCodes("In", (88,))),
)


@pytest.mark.parametrize("code", [0, 1, 42, 88])
@pytest.mark.parametrize("own", [None, "Never", "OnFailure", "Always"])
@pytest.mark.parametrize("policy", ["Never", "OnFailure", "Always"])
@pytest.mark.parametrize("role", ["main", "init"])
def test_RESTART_4_to_8_an_exit_leads_to_what_is_told(
    role: str, policy: str, own: str | None, code: int
) -> None:
    """For each policy of the pod, of the container, exit code, and kind of container."""
    subject = Container("c", restart_policy=own, restart_policy_rules=RULES if own else ())
    other = Container("other")
    in_pod = (
        pod(main=[other, subject], restart_policy=policy)
        if role == "main"
        else pod(init=[subject], main=[other], restart_policy=policy)
    )

    done = run(in_pod, {"c": Script(lasts=1, exit_code=code)}, until=5)

    assert done.pod.status is not None
    seen = "stay"
    if "AllContainersRestarting" in {c.type for c in done.pod.status.conditions}:
        seen = "restart all"
    elif len(done.times("start", "c")) > 1:
        seen = "restart"
    elif done.phase == "Failed":
        seen = "fail pod"
    assert outcome(in_pod.spec, subject, code) == seen


@pytest.mark.parametrize(
    "policy, own, ends",
    [
        ("Never", (), True),
        ("OnFailure", (), True),
        ("Always", (), False),
        ("Always", ("Never",), True),  # RESTART-12
        ("Always", ("Never", None), False),
        ("Never", ("Always",), False),
    ],
)
def test_MAIN_2_a_pod_ends_by_itself_if_it_is_told(
    policy: str, own: tuple[str | None, ...], ends: bool
) -> None:
    mains = [Container(f"m{i}", restart_policy=one) for i, one in enumerate(own)]
    subject = pod(main=mains, restart_policy=policy)

    names = subject.spec.all_containers
    done = run(subject, {name: Script(lasts=1) for name in names}, until=500)

    assert ends_by_itself(subject.spec) is ends
    assert (done.phase == "Succeeded") is ends


# ------------------------------------------------------------------ words


def rows(found: tuple[Row, ...]) -> dict[str, str]:
    """Label to what is said, with the rules in brackets."""
    return {row.label: " | ".join(f"{s.text} [{', '.join(s.rules)}]" for s in row.sentences) for row in found}


def told(subject: Pod, name: str) -> dict[str, str]:
    return next(rows(c.rows) for c in explain(subject.spec).containers if c.name == name)


def test_containers_are_told_in_the_order_of_their_start() -> None:
    story = explain(pod(init=[container("i"), sidecar("s")], main=[container("a"), container("b")]).spec)

    assert [(c.name, c.role, c.path) for c in story.containers] == [
        ("i", "init container", "spec.initContainers[0]"),
        ("s", "sidecar", "spec.initContainers[1]"),
        ("a", "main container", "spec.containers[0]"),
        ("b", "main container", "spec.containers[1]"),
    ]


def test_SIDE_3_SIDE_4_both_start_gates_are_told_where_they_differ() -> None:
    gated = told(pod(init=[sidecar("s", readiness_probe=Probe())]), "s")["Gate"]

    assert "main waits until this has been ready once (`--start-gate ready`, the default)" in gated
    assert "nor does `--start-gate started`: there main starts as soon as this is running" in gated
    assert "[SIDE-3, SIDE-4]" in gated


@pytest.mark.parametrize(
    "fields", [{}, {"startup_probe": Probe()}, {"startup_probe": Probe(), "readiness_probe": Probe()}]
)
def test_SIDE_3_start_gates_are_not_told_where_they_agree(fields: dict[str, Probe]) -> None:
    gate = told(pod(init=[sidecar("s", **fields)]), "s")["Gate"]

    assert "--start-gate" not in gate
    assert ("waits until the startupProbe has succeeded [SIDE-3]" in gate) is bool(fields)


def test_what_follows_says_what_it_waits_for() -> None:
    subject = pod(
        init=[
            container("i"),
            sidecar("s"),
            sidecar("u", startup_probe=Probe()),
            sidecar("r", readiness_probe=Probe()),
        ],
        main=[container("a", post_start=True), container("b"), container("c")],
    )

    assert {name: told(subject, name)["Starts"].split(" [")[0] for name in subject.spec.all_containers} == {
        "i": "first, at once",
        "s": "when i has exited with 0",
        "u": "when s is running",
        "r": "when the startupProbe of u has succeeded",
        "a": "when r has been ready once; in a cluster when r is running",
        "b": "after a, when its postStart has returned or it has failed",
        "c": "right after b, whether that starts well or not",
    }


def test_PROBE_3_PROBE_15_a_probe_in_words() -> None:
    probe = Probe(
        http_get=HTTPGetAction(port="web", path="/up"),
        initial_delay_seconds=5,
        period_seconds=20,
        timeout_seconds=3,
        failure_threshold=4,
    )
    subject = pod(
        main=[container("main", startup_probe=probe, ports=(ContainerPort(8080, "web"),))],
    )
    startup = told(subject, "main")["Startup"]

    assert startup == (
        "GET http://127.0.0.1:8080/up: first 5s after the start, then every 20s, with 3s to answer "
        "[PROBE-3, PROBE-5] | 4 failures in a row, 1m5s to 1m8s after the start, and this container is "
        "stopped and restarted [PROBE-15, RESTART-9]"
    )


def test_RESTART_11_under_never_a_failed_probe_is_the_end_of_a_main_container() -> None:
    probe = Probe(exec=ExecAction(("true",)))
    never = {"restart_policy": "Never"}

    main = told(pod(main=[container("main", liveness_probe=probe)], **never), "main")
    beside = told(pod(init=[sidecar("s", liveness_probe=probe)], **never), "s")

    assert "stopped and not restarted, as its policy is Never" in main["Liveness"]
    assert "stopped and restarted" in beside["Liveness"]  # SIDE-13
    assert "SIDE-13" in beside["Liveness"]


def test_PROBE_7_without_a_startup_probe_the_time_to_come_up_is_told() -> None:
    probe = Probe(exec=ExecAction(("true",)), initial_delay_seconds=7)

    alone = told(pod(main=[container("main", liveness_probe=probe)]), "main")["Liveness"]
    guarded = told(pod(main=[container("main", liveness_probe=probe, startup_probe=probe)]), "main")[
        "Liveness"
    ]

    assert "it has to be up within 27s" in alone
    assert "it has to be up" not in guarded
    assert "first 7s after the start, once the startupProbe has succeeded" in guarded


def test_INIT_3_INIT_4_the_exits_of_an_init_container() -> None:
    never = told(pod(init=[sidecar("s"), container("i")], restart_policy="Never"), "i")
    always = told(pod(init=[container("i")], restart_policy="Always"), "i")

    assert "the pod has Failed" in never["Failure"] and "SIDE-20" in never["Failure"]
    assert "tried again, with back-off" in always["Failure"] and "INIT-4" in always["Failure"]
    assert never["Exit 0"] == always["Exit 0"]


def test_SIDE_9_a_sidecar_is_told_the_same_for_every_exit_and_every_policy() -> None:
    for policy in ("Never", "OnFailure", "Always"):
        found = told(pod(init=[sidecar("s")], restart_policy=policy), "s")

        assert {"Exit 0", "Failure"}.isdisjoint(found)
        assert "the pod's restartPolicy does not matter [SIDE-9, SIDE-10, SIDE-25]" in found["Any exit"]


def test_RESTART_6_RESTART_13_each_rule_has_its_row() -> None:
    ruled = Container("main", restart_policy="Never", restart_policy_rules=RULES)

    found = told(pod(main=[ruled], restart_policy="Never"), "main")

    assert found["Rule 1"].startswith("exit code 42: restarted, with back-off")
    assert found["Rule 2"].startswith("exit code 88: everything is stopped at once")
    assert "because of its own restartPolicy Never" in found["Other exit"]


@pytest.mark.parametrize(
    "operator, values, words",
    [
        ("In", (1, 2, 3), "exit code 1, 2 or 3:"),
        ("In", (), "no exit code:"),
        ("NotIn", (0,), "any exit code but 0:"),
        ("NotIn", (), "any exit code:"),
    ],
)
def test_RESTART_7_operators_in_words(operator: str, values: tuple[int, ...], words: str) -> None:
    rule = ContainerRestartRule("Restart", ContainerRestartRuleOnExitCodes(operator, values))
    ruled = Container("main", restart_policy="Never", restart_policy_rules=(rule,))

    assert told(pod(main=[ruled]), "main")["Rule"].startswith(words)


def test_HOOK_6_a_sleep_says_what_it_leaves_of_the_grace() -> None:
    subject = pod(main=[hooked("main", LifecycleHandler(sleep=SleepAction(10)))], grace=30)

    assert "it leaves 20s of 30s [HOOK-6]" in told(subject, "main")["preStop"]


def test_SIDE_27_the_shutdown_is_told_in_the_order_of_the_signals() -> None:
    subject = pod(
        init=[sidecar("a"), sidecar("b", pre_stop=True)], main=[container("m"), container("n", pre_stop=True)]
    )

    shutdown = [(row.label, row.sentences[0].text) for row in explain(subject.spec).shutdown]

    assert shutdown[:5] == [
        ("At once", "the preStop hooks of b and n, side by side"),
        ("1", "m: SIGTERM at once"),
        ("1", "n: SIGTERM after its preStop"),
        ("2", "b: SIGTERM when all main containers are gone and its preStop is over"),
        ("3", "a: SIGTERM when b is gone"),
    ]


def test_HOOK_11_a_stop_signal_of_its_own_is_named() -> None:
    subject = pod(main=[Container("main", lifecycle=Lifecycle(stop_signal="SIGUSR1"))])

    assert rows(explain(subject.spec).shutdown)["1"].startswith("main: SIGUSR1 at once")


def worst(spec: PodSpec, job: object = None) -> dict[str, float]:
    return {case.what: case.seconds for case in explain(spec, job).worst_cases}  # type: ignore[arg-type]


def test_TERM_10_worst_cases_of_a_pod() -> None:
    probe = Probe(period_seconds=10, failure_threshold=3)
    subject = pod(
        init=[sidecar("s", startup_probe=probe)], grace=30, active_deadline_seconds=60, restart_policy="Never"
    )

    assert worst(subject.spec) == {
        "s: from its start until it is given up": 21,
        "from deletion until nothing is left": 32,
        "from the end of the main containers until the sidecars are gone": 30,
        "the whole life of a pod, because of its deadline": 92,
    }


def job_rows(**spec: object) -> dict[str, str]:
    job = make_job(**spec).spec
    return rows(explain(job.template.spec, job).job)


def test_JOB_10_the_arithmetic_of_backoff_limit() -> None:
    found = job_rows(backoff_limit=6)

    assert "a failed pod is replaced, and failed pod 7 fails the Job" in found["Retries"]
    assert "waits 10s, 20s, 40s, 1m20s, 2m40s, 5m20s after the failure before it" in found["Retries"]
    assert "JOB-12" not in found["Retries"]


@pytest.mark.parametrize("limit, tolerated", [(0, "none is"), (1, "none is"), (2, "1 is"), (6, "5 are")])
def test_JOB_12_restarts_in_a_pod_fail_the_job_with_the_one_that_is_told(limit: int, tolerated: str) -> None:
    last = max(limit, 1)
    found = job_rows(backoff_limit=limit, restart_policy="OnFailure")
    history = History(backoff_limit=limit, restart_policy="OnFailure")

    history.run("p1", restarts=last - 1)
    before = history.conditions
    history.run("p1", restarts=last)

    assert f"{tolerated} tolerated, restart {last} fails the Job [JOB-12]" in found["Retries"]
    assert before == []
    assert history.conditions[0] == ("FailureTarget", "True", "BackoffLimitExceeded")


def test_JOB_12_worst_case_is_the_time_of_that_restart_in_a_crash_loop() -> None:
    job = make_job(backoff_limit=4, restart_policy="OnFailure").spec
    done = run(pod(restart_policy="OnFailure"), {"main": Script(lasts=0, exit_code=1)}, until=500)

    seconds = worst(job.template.spec, job)["of back-off in a pod until restart 4 uses up backoffLimit"]

    assert done.times("start", "main")[4] == seconds == 70


@pytest.mark.parametrize(
    "spec, words",
    [
        ({"completions": 5, "parallelism": 2}, "2 at a time, until 5 have succeeded [JOB-2]"),
        ({"parallelism": 3}, "3 at a time, until one has succeeded; then the others are awaited"),
        ({"completions": 2, "parallelism": 0}, "parallelism 0 is a pause"),
        (
            {"completions": 4, "completion_mode": "Indexed"},
            "one for each index from 0 to 3, the lowest first",
        ),
        ({"suspend": True}, "suspended: no pod is made until that is lifted [JOB-27]"),
    ],
)
def test_JOB_2_JOB_3_JOB_21_how_many_pods(spec: dict[str, object], words: str) -> None:
    assert words in job_rows(**spec)["Pods"]


def test_JOB_24_limits_per_index() -> None:
    found = job_rows(
        completions=3, completion_mode="Indexed", backoff_limit_per_index=1, max_failed_indexes=0
    )

    assert "each index has 1 of its own: failure 2 ends it for good" in found["Retries"]
    assert "more than 0 failed indexes fail the Job at once [JOB-25]" in found["Retries"]
    assert "backoffLimit" not in found["Retries"]


def test_JOB_18_JOB_26_policies_in_words() -> None:
    codes = PodFailurePolicyOnExitCodesRequirement
    found = job_rows(
        completions=3,
        completion_mode="Indexed",
        pod_failure_policy=PodFailurePolicy(
            (
                PodFailurePolicyRule("FailJob", codes("In", (42, 43), "main")),
                PodFailurePolicyRule("Ignore", codes("NotIn", (1,))),
            )
        ),
        success_policy=SuccessPolicy((SuccessPolicyRule("0,2", 1),)),
    )

    assert found["Failure 1"].startswith(
        "a failed pod in which container main exited with code 42 or 43: the Job fails at once"
    )
    assert "any container, sidecars too, exited with a code other than 0 or 1" in found["Failure 2"]
    assert found["Success"].startswith("when 1 of the indexes 0,2 have succeeded")


@pytest.mark.parametrize(
    "seconds, text",
    [(0.5, "500ms"), (10, "10s"), (60, "1m"), (80, "1m20s"), (3600, "1h"), (5400, "1h30m"), (3601, "1h1s")],
)
def test_a_length_is_written_as_people_do(seconds: float, text: str) -> None:
    assert spoken(seconds) == text
