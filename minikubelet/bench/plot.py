"""The result as a picture for a slide: medians as dots on logarithmic axes, with their ranges.

Needs matplotlib, which nothing else does: the extra `plot`.
"""

from pathlib import Path
from statistics import median
from textwrap import fill
from typing import Any

from minikubelet.bench.campaign import Result
from minikubelet.bench.metrics import BY_KEY, OURS
from minikubelet.bench.report import number

SHOWN = (
    "cold", "start-100", "stop-100", "log-100",
    "start-1000", "restart-99", "stop-1000", "rss-1000",
    "log-64k-cpu", "probe-httpGet", "sidecar", "simulation",
)  # fmt: skip
"What fits on a slide; what was not measured, or only of minikubelet, is left out."

OURS_COLOR, FLOOR_COLOR, PEER_COLOR = "#0b62d6", "#98a2ae", "#3e4c59"
COLUMNS = 4
COLUMN_INCHES, ROW_INCHES, HEAD_INCHES = 4.4, 0.24, 1.1


def draw(result: Result, path: Path) -> None:
    """Write an SVG or a PNG, as the name's ending says. Raises ImportError without matplotlib, OSError."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib.figure import Figure

    matplotlib.rcParams.update({"font.size": 10, "svg.fonttype": "none"})
    shown = [key for key in SHOWN if len(result.samples.get(key, {})) > 1] or list(result.samples)
    columns = min(COLUMNS, len(shown))
    rows = [shown[start : start + columns] for start in range(0, len(shown), columns)]
    heights = [HEAD_INCHES + ROW_INCHES * max(len(result.samples[key]) for key in row) for row in rows]
    size = (max(COLUMN_INCHES * columns, 2 * COLUMN_INCHES), sum(heights) + 0.4)
    figure = Figure(figsize=size, layout="constrained")
    grid = figure.subplots(len(rows), columns, squeeze=False, height_ratios=heights)
    for row, places in zip(rows, grid, strict=True):
        for axes in places[len(row) :]:
            axes.set_axis_off()
        for axes, key in zip(places, row, strict=False):
            _draw_metric(axes, result, key, most=max(len(result.samples[one]) for one in row))
    machine = result.machine
    where = f"{machine['cores']} cores, Linux {machine['kernel']}, Python {machine['python']}"
    figure.suptitle(f"What supervision costs: medians and ranges on {where}", x=0.01, ha="left")
    figure.savefig(path, dpi=160)


def _draw_metric(axes: Any, result: Result, key: str, *, most: int) -> None:
    """One metric, the best on top, in rows as high as those beside it, which are `most`."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    metric, of_subject = BY_KEY[key], result.samples[key]
    kinds = {subject.name: subject.kind for subject in result.subjects}
    order = sorted(of_subject, key=lambda name: median(of_subject[name]), reverse=metric.is_rate)
    for place, name in enumerate(order):
        low, middle, high = min(of_subject[name]), median(of_subject[name]), max(of_subject[name])
        color = {"ours": OURS_COLOR, "floor": FLOOR_COLOR}.get(kinds.get(name, "peer"), PEER_COLOR)
        axes.plot([low, high], [place, place], color=color, linewidth=2, alpha=0.4)
        axes.plot([middle], [place], "o", color=color, markersize=8 if name == OURS else 6)
        axes.annotate(
            number(middle), (high, place), (7, -3), textcoords="offset points", fontsize=8, color=color
        )
    axes.set_yticks(range(len(order)), order)
    axes.set_ylim(most - 0.4, -0.6)
    for label in axes.get_yticklabels():
        if label.get_text() == OURS:
            label.set(color=OURS_COLOR, fontweight="bold")
    values = [value for values in of_subject.values() for value in values]
    if min(values) > 0:
        axes.set_xscale("log")
        axes.set_xlim(min(values) / 1.6, max(values) * (max(values) / min(values)) ** 0.22 * 1.3)
        is_wide = max(values) > 50 * min(values)
        axes.xaxis.set_major_locator(LogLocator(subs=(1,) if is_wide else (1, 2, 5)))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_title(fill(metric.title, 40), loc="left", fontsize=10, fontweight="bold")
    better = "more is better" if metric.is_rate else "less is better"
    axes.set_xlabel(f"{metric.unit}, {better}" if metric.unit else better, fontsize=9)
    axes.grid(axis="x", which="major", color="#e4e7eb", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
