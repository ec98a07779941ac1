"""What is measured, in which unit, and what it has to come to.

Pure. A target is a ratio: to a number, or to what another subject reached in the same run. It is hit when
that ratio is 1 or better; a reference that was not measured leaves it open.
"""

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Literal

import attrs

Samples = Mapping[str, Mapping[str, Sequence[float]]]
"""Of each metric (key), of each subject (name)."""

OURS = "minikubelet"


@attrs.frozen
class Metric:
    key: str
    title: str
    unit: str
    is_rate: bool = False
    "More is better."


PROBE_KINDS = ("exec", "httpGet", "tcpSocket", "grpc")


def _each(
    key: str, title: str, unit: str, values: Sequence[object], *, is_rate: bool = False
) -> list[Metric]:
    """One metric for each value, which `{}` in the title stands for."""
    return [Metric(f"{key}-{one}", title.format(one), unit, is_rate=is_rate) for one in values]


METRICS: Sequence[Metric] = (
    Metric("cold", "cold start: exec to the first instruction of the first container", "ms"),
    *_each("start", "start: exec to the first instruction of the last of {}", "ms", (10, 100, 1000)),
    *_each("restart", "exit to the restarted one's first instruction, beside {} idle", "ms", (0, 99, 999)),
    Metric("sidecar", "main's exit to the sidecar's SIGTERM", "ms"),
    *_each("stop", "stop of {} that obey at once, until nothing is left", "ms", (1, 100, 1000)),
    Metric("ignore", "stop of 20 that ignore SIGTERM, grace 2 s: over the grace", "s"),
    Metric("init", "three init containers in a chain, more than none", "ms"),
    *_each("rss", "memory, resident, {} idle", "MiB", (1, 100, 1000)),
    *_each("pss", "memory, proportional share, {} idle", "MiB", (1, 100, 1000)),
    Metric("rss-each", "memory, resident, for each more of 1000", "KiB"),
    *_each("idle-cpu", "idle: CPU in a minute, {} containers", "ms", (100, 1000)),
    *_each("idle-wakes", "idle: context switches in a minute, {} containers", "", (100, 1000)),
    *_each("probe", "CPU of one {} probe, 100 containers probed every second", "ms", PROBE_KINDS),
    *_each("probed", "100 containers, {} probe every second: part of one core", "%", PROBE_KINDS),
    Metric("log-100", "log capture, CRI timestamps, writes of 100 bytes", "MB/s", is_rate=True),
    Metric("log-100-cpu", "log capture, writes of 100 bytes: CPU for a GB", "s"),
    Metric("log-64k", "log capture, CRI timestamps, writes of 64 KiB", "MB/s", is_rate=True),
    Metric("log-64k-cpu", "log capture, writes of 64 KiB: CPU for a GB", "s"),
    Metric("spawn", "make a process and reap it", "µs"),
    *_each("core", "decisions of the pure core, a pod of {} containers", "/s", (3, 30), is_rate=True),
    Metric("heap", "simulated lifecycles of whole pods, lived on the event heap", "/s", is_rate=True),
    Metric("trio", "simulated lifecycles of whole pods, lived under MockClock", "/s", is_rate=True),
    Metric("simulation", "simulated lifecycles of whole pods, drawn, lived and checked", "/s", is_rate=True),
)

BY_KEY: Mapping[str, Metric] = {metric.key: metric for metric in METRICS}


@attrs.frozen
class Target:
    """At most so much, of a rate at least so much."""

    metric: str
    limit: float
    of: str | None = None
    "A subject, of whose median `limit` is a multiple; None: `limit` is in the unit of the metric."

    def text(self) -> str:
        word = "at least" if BY_KEY[self.metric].is_rate else "at most"
        if self.of is None:
            return f"{word} {self.limit:,g} {BY_KEY[self.metric].unit}".rstrip()
        return f"{word} {self.limit:g} x {self.of}"


TARGETS: Sequence[Target] = (
    Target("cold", 1, "honcho"),
    Target("cold", 1.5, "floor-pod"),
    Target("start-1000", 2, "floor-lean"),
    Target("start-1000", 0.5, "s6"),
    Target("restart-0", 1, "runit"),
    Target("restart-99", 1, "runit"),
    Target("restart-999", 1, "runit"),
    Target("sidecar", 1.5),
    Target("stop-100", 30),
    Target("stop-100", 1.71, "floor-lean"),
    Target("stop-1000", 120),
    Target("stop-1000", 1.67, "floor-lean"),
    Target("ignore", 0.1),
    Target("rss-1", 30),
    Target("rss-1000", 45),
    Target("rss-each", 15),
    Target("idle-cpu-1000", 0),
    Target("idle-wakes-1000", 0),
    Target("log-100", 180),
    Target("log-100", 0.84, "floor-lean"),
    Target("log-100-cpu", 5.5),
    Target("log-100-cpu", 1.22, "floor-lean"),
    Target("log-64k", 350),
    Target("log-64k", 0.83, "floor-lean"),
    Target("log-64k-cpu", 2.5),
    Target("log-64k-cpu", 1.39, "floor-lean"),
    *(Target(f"probe-{kind}", 0.4) for kind in PROBE_KINDS),
    Target("init", 5),
    Target("core-3", 50_000),
    Target("heap", 1000),
    Target("trio", 150),
)
"""Where a number was set beside a floor, both are here: the number, and what it was a multiple of."""

Word = Literal["hit", "missed", "not measured"]


@attrs.frozen
class Verdict:
    target: Target
    measured: float | None
    limit: float | None
    "In the unit of the metric; None: what it is a ratio of was not measured."
    ratio: float | None
    "Of what was measured to the limit, turned over for a rate: up to 1 it is hit. None where the limit is 0."
    word: Word


def judge(target: Target, medians: Mapping[str, Mapping[str, float]]) -> Verdict:
    """`medians` are of each metric, of each subject."""
    of_metric = medians.get(target.metric, {})
    measured = of_metric.get(OURS)
    reference: float | None = 1.0 if target.of is None else of_metric.get(target.of)
    limit = None if reference is None else target.limit * reference
    ratio: float | None
    if measured is None or limit is None:
        return Verdict(target, measured, limit, None, "not measured")
    if BY_KEY[target.metric].is_rate:
        ratio = limit / measured
        is_hit = measured >= limit
    else:
        ratio = measured / limit if limit > 0 else None
        is_hit = measured <= limit
    return Verdict(target, measured, limit, ratio, "hit" if is_hit else "missed")


def medians_of(samples: Samples) -> dict[str, dict[str, float]]:
    return {
        key: {subject: median(values) for subject, values in of_subject.items() if values}
        for key, of_subject in samples.items()
    }


def rss_each(samples: Samples) -> dict[str, list[float]]:
    """KiB for each more container, by subject: from the medians with one and with a thousand."""
    low, high = (medians_of(samples).get(f"rss-{n}", {}) for n in (1, 1000))
    return {subject: [(high[subject] - low[subject]) * 1024 / 999] for subject in high if subject in low}
