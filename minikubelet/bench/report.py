"""The result, as text for people and as JSON for machines. benchmarks/BENCHMARKS.md has the schema."""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from statistics import median

from minikubelet.bench.campaign import Result
from minikubelet.bench.metrics import BY_KEY, OURS, TARGETS, Verdict, judge, medians_of

SCHEMA = 1

METHOD = """\
Method: every subject is a whole program, started as its user starts it; a child tells the time by the first
thing it does when it runs and by the last when it ends. Rounds are interleaved and rotated. Told are medians,
the range, and the number of samples. Peers capture no output unless they cannot do without, or logs are what
is measured; minikubelet and the floors always do.
Noise: whatever else the machine does is in it. Compare within one run; believe a ratio rather than a number,
and no difference that is smaller than the ranges. With few rounds (--quick) take it for a hint."""


def text(result: Result) -> str:
    """All of it, in aligned columns."""
    medians = medians_of(result.samples)
    lines: list[str] = []
    for key, of_subject in result.samples.items():
        metric = BY_KEY[key]
        better = ", more is better" if metric.is_rate else ""
        lines += [f"{metric.title}{f', {metric.unit}' if metric.unit else ''}{better}"]
        ours = medians[key].get(OURS)
        order = sorted(of_subject, key=lambda name: medians[key][name], reverse=metric.is_rate)
        width = max(map(len, order))
        for name in order:
            values = of_subject[name]
            middle = median(values)
            cells = [f" {'>' if name == OURS else ' '} {name:{width}}  {number(middle):>9}"]
            cells.append(f"{number(min(values))} .. {number(max(values))}".ljust(20))
            cells.append(f"n={len(values):<3}")
            if ours and name != OURS:
                cells.append(f"{middle / ours:>8.2f} x")
            lines.append("  ".join(cells).rstrip())
        lines.append("")
    lines += _targets(result, medians)
    lines += _remarks(result)
    return "\n".join([*lines, METHOD, ""])


def number(value: float) -> str:
    """Three digits that count, no exponent."""
    if value == 0:
        return "0"
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2 if abs(value) >= 1 else 3
    return f"{value:,.{digits}f}"


def _targets(result: Result, medians: Mapping[str, Mapping[str, float]]) -> Iterator[str]:
    verdicts = [judge(target, medians) for target in TARGETS if result.plan.wants(target.metric)]
    if not verdicts:
        return
    yield "Targets; the ratio is of what was measured to what it may be, up to 1 is a hit"
    rows: list[Sequence[str]] = [("", "metric", "target", "measured", "may be", "ratio")]
    rows += [
        (
            verdict.word if verdict.word != "not measured" else "-",
            verdict.target.metric,
            verdict.target.text(),
            *("-" if value is None else number(value) for value in (verdict.measured, verdict.limit)),
            "-" if verdict.ratio is None else f"{verdict.ratio:.2f}",
        )
        for verdict in verdicts
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [
            cell.ljust(width) if place < 3 else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield ("   " + "  ".join(cells)).rstrip()
    yield ""


def _remarks(result: Result) -> Iterator[str]:
    machine = result.machine
    yield (
        f"{machine['cores']} cores, {machine['processor']}, {machine['memory_gib']} GiB, Linux "
        f"{machine['kernel']}, Python {machine['python']}, load {machine['load']} at the start; "
        f"{result.seconds:.0f} s"
    )
    versions = [f"{name} {version}" for name, version in result.versions.items() if version]
    yield "Versions: " + ", ".join(versions)
    for name, reason in result.missing.items():
        yield f"Not measured: {name}: {reason}"
    for failure in result.failures:
        yield f"Failed: {failure}"
    for note in result.notes:
        yield f"Note: {note}"
    yield ""


def as_json(result: Result) -> str:
    medians = medians_of(result.samples)
    return json.dumps(
        {
            "schema": SCHEMA,
            "made": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "quick": result.plan.quick,
            "seconds": round(result.seconds, 1),
            "machine": result.machine,
            "subjects": {
                subject.name: {
                    "kind": subject.kind,
                    "version": result.versions[subject.name],
                    "configuration": subject.configuration,
                }
                for subject in result.subjects
            },
            "missing": result.missing,
            "failures": result.failures,
            "notes": result.notes,
            "metrics": [
                {
                    "key": key,
                    "title": BY_KEY[key].title,
                    "unit": BY_KEY[key].unit,
                    "better": "more" if BY_KEY[key].is_rate else "less",
                    "subjects": {name: _figures(values) for name, values in of_subject.items()},
                }
                for key, of_subject in result.samples.items()
            ],
            "targets": [_verdict(judge(target, medians)) for target in TARGETS],
        },
        indent=1,
    )


def _figures(values: Sequence[float]) -> dict[str, object]:
    return {
        "median": median(values),
        "min": min(values),
        "max": max(values),
        "n": len(values),
        "samples": values,
    }


def _verdict(verdict: Verdict) -> dict[str, object]:
    target = verdict.target
    return {
        "metric": target.metric,
        "target": target.text(),
        "of": target.of,
        "measured": verdict.measured,
        "limit": verdict.limit,
        "ratio": verdict.ratio,
        "verdict": verdict.word,
    }
