"""What the figures come to."""

import pytest

from minikubelet.bench.metrics import BY_KEY, METRICS, TARGETS, Target, judge, medians_of, rss_each


def test_every_metric_has_a_name_of_its_own() -> None:
    assert len(BY_KEY) == len(METRICS)


def test_targets_are_of_metrics_that_there_are() -> None:
    assert {target.metric for target in TARGETS} <= BY_KEY.keys()


@pytest.mark.parametrize(
    ("target", "measured", "reference", "word", "ratio"),
    [
        (Target("stop-100", 30), 15.0, None, "hit", 0.5),
        (Target("stop-100", 30), 45.0, None, "missed", 1.5),
        (Target("cold", 1.5, "floor-pod"), 60.0, 50.0, "hit", 0.8),
        (Target("cold", 1.5, "floor-pod"), 90.0, 50.0, "missed", 1.2),
        (Target("log-100", 180), 360.0, None, "hit", 0.5),
        (Target("log-100", 0.8, "floor-lean"), 100.0, 250.0, "missed", 2.0),
        (Target("idle-wakes-1000", 0), 0.0, None, "hit", None),
        (Target("idle-wakes-1000", 0), 1.0, None, "missed", None),
    ],
)
def test_a_ratio_up_to_one_is_a_hit(
    target: Target, measured: float, reference: float | None, word: str, ratio: float | None
) -> None:
    """Of a rate, too, of which more is better."""
    medians = {target.metric: {"minikubelet": measured}}
    if target.of is not None and reference is not None:
        medians[target.metric][target.of] = reference

    verdict = judge(target, medians)

    assert verdict.word == word
    assert verdict.ratio == (None if ratio is None else pytest.approx(ratio))


@pytest.mark.parametrize("medians", [{}, {"cold": {"minikubelet": 60.0}}, {"cold": {"floor-pod": 60.0}}])
def test_what_was_not_measured_is_neither_hit_nor_missed(medians: dict[str, dict[str, float]]) -> None:
    assert judge(Target("cold", 1.5, "floor-pod"), medians).word == "not measured"


def test_medians_leave_out_who_has_no_samples() -> None:
    assert medians_of({"cold": {"a": [3, 1, 2], "b": []}}) == {"cold": {"a": 2}}


def test_memory_for_each_container_is_what_a_thousand_take_more_than_one() -> None:
    samples = {"rss-1": {"a": [10.0], "b": [1.0]}, "rss-1000": {"a": [10.0 + 999 / 1024]}}

    assert rss_each(samples) == {"a": [pytest.approx(1.0)]}
