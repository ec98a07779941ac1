"""Crash-loop back-off (BACKOFF-1..9): one small entry, how it moves, and how a wait is put into words.

The first restart is immediate because the entry is only made by it; from then on a restart waits
`delay` seconds from the end of the latest run, and each allowed restart doubles the delay.
"""

from minikubelet.api.meta import ObjectMeta
from minikubelet.api.values import frozen
from minikubelet.lifecycle.settings import LifecycleSettings


@frozen
class BackoffEntry:
    delay: float
    "Seconds that the next restart has to wait, counted from the end of the run before it (BACKOFF-3)."
    updated_at: float
    "When the latest restart was allowed."


def current_delay(entry: BackoffEntry | None, finished_at: float, settings: LifecycleSettings) -> float:
    """How long after `finished_at` a restart is held back: 0 without an entry or after a long run."""
    if entry is None or _is_forgotten(entry, finished_at, settings):
        return 0.0
    return entry.delay


def next_entry(
    entry: BackoffEntry | None, finished_at: float, now: float, settings: LifecycleSettings
) -> BackoffEntry:
    """BACKOFF-4, BACKOFF-8: the entry after a restart allowed at `now`."""
    if entry is None or _is_forgotten(entry, finished_at, settings):
        return BackoffEntry(min(settings.backoff_base, settings.backoff_max), now)
    return BackoffEntry(min(entry.delay * 2, settings.backoff_max), now)


def _is_forgotten(entry: BackoffEntry, finished_at: float, settings: LifecycleSettings) -> bool:
    """BACKOFF-5, BACKOFF-6: only a run of more than ten minutes resets; waiting does not."""
    return finished_at - entry.updated_at > settings.backoff_reset


def back_off_message(pod: ObjectMeta, container: str, delay: float) -> str:
    """BACKOFF-9's wording."""
    return f"back-off {go_duration(delay)} restarting failed container={container} pod={pod_label(pod)}"


def pod_label(pod: ObjectMeta) -> str:
    """A pod as the kubelet names it in messages."""
    return f"{pod.name}_{pod.namespace}({pod.uid})"


def go_duration(seconds: float) -> str:
    """A length as Go prints it: 10s, 1m20s, 5m0s, 300ms (BACKOFF-9)."""
    if seconds < 1:
        return f"{round(seconds * 1000):d}ms"
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(int(minutes), 60)
    text = f"{round(rest, 3):g}s"
    return f"{hours}h{minutes}m{text}" if hours else f"{minutes}m{text}" if minutes else text
