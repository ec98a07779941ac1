"""Writes the figures of benchmarks/BENCHMARKS.md: what the last full runs came to, and what was hit.

    minikubelet bench --json benchmarks/results/bench.json
    python -m benchmarks.scale --json benchmarks/results/scale.json
    python scripts/benchmarks_page.py [--check]

The rest of the document is written by hand, and what bounds a target that was missed is written in
benchmarks/misses.yaml, by metric: a miss without a word there is a fault.
"""

import argparse
import json
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from minikubelet.bench.metrics import BY_KEY
from minikubelet.bench.report import number

ROOT = Path(__file__).resolve().parent.parent
BENCHMARKS = ROOT / "benchmarks"
TARGET = BENCHMARKS / "BENCHMARKS.md"

GROUPS: Mapping[str, Sequence[str]] = {
    "Start": ("cold", "start-10", "start-100", "start-1000"),
    "Restart": ("restart-0", "restart-99", "restart-999"),
    "Order": ("sidecar", "init"),
    "Stop": ("stop-1", "stop-100", "stop-1000", "ignore"),
    "Memory, resident": ("rss-1", "rss-100", "rss-1000", "rss-each"),
    "Memory, proportional share": ("pss-1", "pss-100", "pss-1000"),
    "Idle": ("idle-cpu-100", "idle-wakes-100", "idle-cpu-1000", "idle-wakes-1000"),
    "Probes": ("probe-exec", "probe-httpGet", "probe-tcpSocket", "probe-grpc"),
    "A hundred probed containers": ("probed-exec", "probed-httpGet", "probed-tcpSocket", "probed-grpc"),
    "Logs": ("log-100", "log-100-cpu", "log-64k", "log-64k-cpu"),
    "Parts": ("spawn", "core-3", "core-30", "heap", "trio", "simulation"),
}


def read() -> tuple[dict[str, Any], dict[str, Any], dict[str, str]]:
    """The bench, the scale, and what bounds a miss."""
    bench, scale = (
        json.loads((BENCHMARKS / "results" / f"{name}.json").read_text()) for name in ("bench", "scale")
    )
    return bench, scale, yaml.safe_load((BENCHMARKS / "misses.yaml").read_text())


def faults(bench: Mapping[str, Any], misses: Mapping[str, str]) -> list[str]:
    """Misses that nobody explains, and explanations of what there is not."""
    missed = [row["metric"] for row in bench["targets"] if row["verdict"] == "missed"]
    unexplained = [
        f"{one} was missed, and misses.yaml has no word on it" for one in missed if one not in misses
    ]
    return sorted(set(unexplained)) + [f"{one} is no metric" for one in misses if one not in BY_KEY]


def machine_lines(bench: Mapping[str, Any]) -> Iterable[str]:
    machine = bench["machine"]
    kind = "a quick run" if bench["quick"] else "a full run"
    yield f"{bench['made'][:10]}, {kind} of {bench['seconds'] / 60:.0f} minutes, on {machine['cores']} cores"
    yield f"({machine['processor']}), {machine['memory_gib']} GiB, Linux {machine['kernel']},"
    yield f"Python {machine['python']}; load at its start {machine['load']}."
    yield ""
    yield "| subject | version | how it is configured |"
    yield "| --- | --- | --- |"
    for name, subject in bench["subjects"].items():
        configuration = subject["configuration"].replace("|", "\\|")
        yield f"| {name} | {subject['version'] or '-'} | {configuration} |"
    yield ""
    yield from (f"Not measured: {name}: {reason}\n" for name, reason in bench["missing"].items())
    yield from (f"Failed: {failure}\n" for failure in bench["failures"])
    yield from (f"Note: {note}\n" for note in bench["notes"])


def target_lines(bench: Mapping[str, Any]) -> Iterable[str]:
    yield "| | metric | target | measured | may be | ratio |"
    yield "| --- | --- | --- | ---: | ---: | ---: |"
    for row in bench["targets"]:
        metric = BY_KEY[row["metric"]]
        values = ("-" if row[key] is None else number(row[key]) for key in ("measured", "limit", "ratio"))
        word = "**missed**" if row["verdict"] == "missed" else row["verdict"]
        unit = f", {metric.unit}" if metric.unit else ""
        yield f"| {word} | {metric.title}{unit} | {row['target']} | {' | '.join(values)} |"


def miss_lines(bench: Mapping[str, Any], misses: Mapping[str, str]) -> Iterable[str]:
    missed = {row["metric"] for row in bench["targets"] if row["verdict"] == "missed"}
    for key, text in misses.items():
        if key in missed:
            yield f"- **{BY_KEY[key].title}**: {' '.join(text.split())}"
    if not missed:
        yield "Nothing was missed."


def table_lines(bench: Mapping[str, Any]) -> Iterable[str]:
    metrics = {metric["key"]: metric for metric in bench["metrics"]}
    for title, keys in GROUPS.items():
        there = [key for key in keys if key in metrics]
        if not there:
            continue
        yield f"### {title}\n"
        for key in there:
            metric = metrics[key]
            more = "; more is better" if metric["better"] == "more" else ""
            yield f"`{key}` is {metric['title']}{', in ' + metric['unit'] if metric['unit'] else ''}{more}.\n"
        yield f"| | {' | '.join(f'`{key}`' for key in there)} |"
        yield f"| --- |{' ---: |' * len(there)}"
        for name in bench["subjects"]:
            figures = [metrics[key]["subjects"].get(name) for key in there]
            if any(figures):
                head = f"**{name}**" if name == "minikubelet" else name
                yield f"| {head} | {' | '.join(map(_cell, figures))} |"
        yield ""


def _cell(figures: Mapping[str, Any] | None) -> str:
    if figures is None:
        return "-"
    if figures["n"] == 1:
        return number(figures["median"])
    spread = f"{number(figures['min'])}..{number(figures['max'])}; {figures['n']}"
    return f"{number(figures['median'])} ({spread})"


def scale_lines(scale: Mapping[str, Any]) -> Iterable[str]:
    for one in scale["containers"]:
        shared = "" if one["supervisors"] == 1 else f" (of {one['supervisors']} supervisors)"
        yield f"| {one['containers']:,} idle containers{shared} | |"
        yield "| --- | ---: |"
        yield f"| exec to the first instruction of the last | {one['start_seconds']:.1f} s |"
        yield f"| resident memory, all supervisors | {one['rss_mib']:.0f} MiB |"
        yield f"| CPU in an idle minute | {one['idle_cpu_ms']:.0f} ms |"
        yield f"| context switches in an idle minute | {one['idle_switches']:.0f} |"
        yield f"| stop, until nothing is left | {one['stop_seconds']:.1f} s |"
        yield ""
    yield "| pods in virtual time | events | µs an event | µs to accept a pod | µs to end a pod |"
    yield "| ---: | ---: | ---: | ---: | ---: |"
    for one in scale["pods"]:
        costs = (f"{one[key]:,.0f}" for key in ("event_us", "accept_us", "end_us"))
        yield f"| {one['pods']:,} | {one['events']:,} | {' | '.join(costs)} |"


def render(document: str) -> str:
    """The whole document with the figures as they have to be."""
    bench, scale, misses = read()
    for name, lines in {
        "machine": machine_lines(bench),
        "targets": target_lines(bench),
        "misses": miss_lines(bench, misses),
        "table": table_lines(bench),
        "scale": scale_lines(scale),
    }.items():
        text = "\n".join(lines).strip()
        place = re.compile(f"(?<=<!-- {name} -->\n).*?(?=<!-- end of {name} -->)", re.DOTALL)
        document, count = place.subn(lambda _, text=text: f"{text}\n", document)  # type: ignore[misc]
        if count != 1:
            raise SystemExit(f"{TARGET.relative_to(ROOT)} has lost its place for {name}")
    return document


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing, compare")
    given = parser.parse_args()
    bench, _, misses = read()
    for fault in (found := faults(bench, misses)):
        print(fault, file=sys.stderr)
    text = render(TARGET.read_text())
    if not given.check:
        TARGET.write_text(text)
    elif TARGET.read_text() != text:
        print(f"{TARGET.relative_to(ROOT)} is out of date: run scripts/benchmarks_page.py", file=sys.stderr)
        return 1
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
