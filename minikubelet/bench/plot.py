"""The result as a picture for a slide: medians as dots on logarithmic axes, with their ranges.

Needs matplotlib, which nothing else does: the extra `plot`.
"""

from math import ceil
from pathlib import Path
from statistics import median

from minikubelet.bench.campaign import Result
from minikubelet.bench.metrics import BY_KEY, OURS
from minikubelet.bench.report import number

INSTALL = "a plot needs matplotlib: pip install 'minikubelet[plot]'"

SHOWN = (
    "cold", "start-100", "start-1000", "restart-99", "sidecar", "stop-100", "stop-1000", "rss-1", "rss-1000",
    "log-100", "log-64k-cpu", "probe-httpGet",
)  # fmt: skip
"What fits on a slide; what was not measured is left out."

OURS_COLOR, FLOOR_COLOR, PEER_COLOR = "#0b62d6", "#9aa5b1", "#3e4c59"
COLUMNS = 3


def draw(result: Result, path: Path) -> None:
    """Write an SVG or a PNG, as the name's ending says. Raises ImportError without matplotlib, OSError."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib.figure import Figure

    matplotlib.rcParams.update({"font.size": 10, "svg.fonttype": "none"})
    kinds = {subject.name: subject.kind for subject in result.subjects}
    shown = [key for key in SHOWN if len(result.samples.get(key, {})) > 1] or list(result.samples)
    columns = min(COLUMNS, len(shown)) or 1
    rows = ceil(len(shown) / columns) or 1
    most = max((len(result.samples[key]) for key in shown), default=1)
    figure = Figure(figsize=(5.3 * columns, rows * (1.1 + 0.24 * most)), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.flat[len(shown) :]:
        axes.set_axis_off()
    for axes, key in zip(grid.flat, shown, strict=False):
        metric, of_subject = BY_KEY[key], result.samples[key]
        order = sorted(of_subject, key=lambda name: median(of_subject[name]), reverse=not metric.is_rate)
        for place, name in enumerate(order):
            values = of_subject[name]
            kind = kinds.get(name, "peer")
            color = {"ours": OURS_COLOR, "floor": FLOOR_COLOR}.get(kind, PEER_COLOR)
            middle = median(values)
            axes.plot([min(values), max(values)], [place, place], color=color, linewidth=2, alpha=0.4)
            axes.plot([middle], [place], "o", color=color, markersize=8 if name == OURS else 6)
            axes.annotate(
                number(middle),
                (middle, place),
                xytext=(7, 4),
                textcoords="offset points",
                fontsize=8,
                color=color,
            )
        axes.set_yticks(range(len(order)), order)
        for label in axes.get_yticklabels():
            if label.get_text() == OURS:
                label.set(color=OURS_COLOR, fontweight="bold")
        if all(value > 0 for values in of_subject.values() for value in values):
            axes.set_xscale("log")
        axes.margins(x=0.15, y=0.08)
        better = "more is better" if metric.is_rate else "less is better"
        axes.set_title(metric.title.replace(": ", ":\n", 1), loc="left", fontsize=10, fontweight="bold")
        axes.set_xlabel(f"{metric.unit}, {better}" if metric.unit else better, fontsize=9)
        axes.grid(axis="x", which="both", color="#e4e7eb", linewidth=0.6)
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.tick_params(axis="y", length=0)
    machine = result.machine
    figure.suptitle(
        f"Supervision, measured side by side on {machine['cores']} cores, Linux {machine['kernel']}: "
        "medians and ranges, logarithmic",
        x=0.01,
        ha="left",
    )
    figure.savefig(path, dpi=160)
