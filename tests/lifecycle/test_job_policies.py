"""Index sets, podFailurePolicy, successPolicy and the replacement delay, as tables."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minikubelet.api.job import (
    PodFailurePolicy,
    PodFailurePolicyOnExitCodesRequirement,
    PodFailurePolicyOnPodConditionsPattern,
    PodFailurePolicyRule,
    SuccessPolicy,
    SuccessPolicyRule,
)
from minikubelet.lifecycle.index_set import NO_INDEXES, IndexSet, parse_indexes
from minikubelet.lifecycle.job_facts import JobPod
from minikubelet.lifecycle.job_policies import judge_failure, matched_success_rule, replacement_delay
from minikubelet.lifecycle.settings import LifecycleSettings

INDEX_SETS = st.sets(st.integers(0, 200))


def index_set(*indexes: int) -> IndexSet:
    result = NO_INDEXES
    for index in indexes:
        result = result.with_index(index)
    return result


# ------------------------------------------------------------------ index sets


@pytest.mark.parametrize(
    ("indexes", "text"),
    [
        ((), ""),
        ((0,), "0"),
        ((0, 1), "0,1"),
        ((0, 1, 2), "0-2"),
        ((1, 3, 4, 5, 7, 8), "1,3-5,7,8"),
        ((99_999,), "99999"),
    ],
)
def test_job_23_indexes_are_written_with_ranges_of_three_or_more(indexes: tuple[int, ...], text: str) -> None:
    assert str(index_set(*indexes)) == text


@given(INDEX_SETS)
def test_job_23_what_is_written_reads_back(indexes: set[int]) -> None:
    written = index_set(*indexes)

    assert parse_indexes(str(written), 1000) == written
    assert len(written) == len(indexes)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("2,4-9", (2, 4, 5)), ("6-9", ()), ("0-0", (0,)), ("5,6,7", (5,))],
)
def test_job_26_indexes_beyond_the_completions_are_left_out(text: str, expected: tuple[int, ...]) -> None:
    assert parse_indexes(text, 6) == index_set(*expected)


@given(INDEX_SETS)
def test_job_21_missing_are_exactly_the_others_lowest_first(indexes: set[int]) -> None:
    missing = list(index_set(*indexes).missing(150))

    assert missing == [i for i in range(150) if i not in indexes]


# ------------------------------------------------------------------ podFailurePolicy


def exit_rule(action: str, operator: str, *values: int, container: str | None = None) -> PodFailurePolicyRule:
    requirement = PodFailurePolicyOnExitCodesRequirement(operator, values, container)
    return PodFailurePolicyRule(action, on_exit_codes=requirement)


def condition_rule(action: str, type_: str, status: str = "True") -> PodFailurePolicyRule:
    return PodFailurePolicyRule(
        action, on_pod_conditions=(PodFailurePolicyOnPodConditionsPattern(type_, status),)
    )


def judge(pod: JobPod, *rules: PodFailurePolicyRule) -> str:
    return judge_failure(PodFailurePolicy(rules), pod, "ns").action


@pytest.mark.parametrize(
    ("codes", "rules", "action"),
    [
        ((("main", 1),), (), "Count"),
        ((("main", 42),), (exit_rule("Ignore", "In", 41, 42),), "Ignore"),
        ((("main", 43),), (exit_rule("Ignore", "In", 41, 42),), "Count"),
        ((("main", 43),), (exit_rule("FailIndex", "NotIn", 41, 42),), "FailIndex"),
        ((("main", 42),), (exit_rule("FailIndex", "NotIn", 41, 42),), "Count"),
        # JOB-18: in order, the first that matches wins
        ((("main", 42),), (exit_rule("Count", "In", 42), exit_rule("FailJob", "In", 42)), "Count"),
        # JOB-19: exit 0 never matches
        ((("main", 0), ("other", 3)), (exit_rule("FailJob", "NotIn", 3),), "Count"),
        # JOB-19: only the container that is named
        ((("main", 1), ("other", 2)), (exit_rule("FailJob", "In", 2, container="main"),), "Count"),
        ((("main", 1), ("other", 2)), (exit_rule("FailJob", "In", 2, container="other"),), "FailJob"),
        # PITFALLS 25: a sidecar's 143 matches a rule that names no container
        ((("main", 1), ("sidecar", 143)), (exit_rule("Ignore", "In", 143),), "Ignore"),
    ],
)
def test_job_19_exit_codes(
    codes: tuple[tuple[str, int], ...], rules: tuple[PodFailurePolicyRule, ...], action: str
) -> None:
    assert judge(JobPod("p", phase="Failed", exit_codes=codes), *rules) == action


@pytest.mark.parametrize(
    ("rule", "action"),
    [
        (condition_rule("Ignore", "DisruptionTarget"), "Ignore"),
        (condition_rule("Ignore", "DisruptionTarget", "False"), "Count"),
        (condition_rule("Ignore", "ConfigIssue"), "Count"),
    ],
)
def test_job_20_conditions_match_by_type_and_status(rule: PodFailurePolicyRule, action: str) -> None:
    pod = JobPod("p", phase="Failed", conditions=(("Ready", "False"), ("DisruptionTarget", "True")))

    assert judge(pod, rule) == action


def test_job_18_the_message_names_pod_container_code_and_rule() -> None:
    pod = JobPod("p", phase="Failed", exit_codes=(("main", 42),))
    policy = PodFailurePolicy((exit_rule("Ignore", "In", 1), exit_rule("FailJob", "In", 42)))

    message = judge_failure(policy, pod, "ns").message

    assert message == "Container main for pod ns/p failed with exit code 42 matching FailJob rule at index 1"


# ------------------------------------------------------------------ successPolicy


@pytest.mark.parametrize(
    ("succeeded", "rules", "matched"),
    [
        ((), (SuccessPolicyRule("0"),), None),
        ((0,), (SuccessPolicyRule("0"),), 0),
        ((0, 1), (SuccessPolicyRule("0-2"),), None),
        ((0, 1, 2, 4), (SuccessPolicyRule("0-2"),), 0),
        ((0, 2), (SuccessPolicyRule("0-2", 2),), 0),
        ((0, 4), (SuccessPolicyRule("0-2", 2),), None),
        ((3, 4), (SuccessPolicyRule(None, 2),), 0),
        ((4,), (SuccessPolicyRule(None, 2),), None),
        ((4,), (SuccessPolicyRule("0-2"), SuccessPolicyRule(None, 1)), 1),
        ((4,), (SuccessPolicyRule("8-9"),), None),
        ((), (SuccessPolicyRule(None, 0),), None),
    ],
)
def test_job_26_the_first_rule_that_is_met(
    succeeded: tuple[int, ...], rules: tuple[SuccessPolicyRule, ...], matched: int | None
) -> None:
    assert matched_success_rule(SuccessPolicy(rules), index_set(*succeeded), 5) == matched


# ------------------------------------------------------------------ delay


@pytest.mark.parametrize(
    ("failures", "delay"), [(0, 0), (1, 10), (2, 20), (3, 40), (6, 320), (7, 600), (8, 600), (10_000, 600)]
)
def test_job_8_delay_doubles_up_to_ten_minutes(failures: int, delay: float) -> None:
    assert replacement_delay(failures, LifecycleSettings()) == delay


@pytest.mark.parametrize(("failures", "delay"), [(1, 0.3), (2, 0.6), (3, 1.2), (4, 1.2)])
def test_job_8_delay_follows_the_back_off_settings(failures: int, delay: float) -> None:
    settings = LifecycleSettings(backoff_base=0.3, backoff_max=1.2)

    assert replacement_delay(failures, settings) == delay


def test_backoff_8_a_cap_below_the_base_wins() -> None:
    assert replacement_delay(1, LifecycleSettings(backoff_max=2)) == 2
