"""Which Event a fact or an action is worth (EVENT-*, BACKOFF-10), in the kubelet's words.

Pure: the recorder adds time, count and the object reference. `record` is the one from before `what`
was observed.
"""

from collections.abc import Iterator

from minikubelet.api.event import EventType
from minikubelet.api.values import frozen
from minikubelet.lifecycle.actions import (
    Action,
    AskProbe,
    BackOff,
    CancelHook,
    EndPod,
    ExplainGate,
    FinishPod,
    GateNews,
    PassInit,
    PreparePod,
    RestartPod,
    RunHook,
    SignalContainer,
    StartContainer,
    StopContainer,
)
from minikubelet.lifecycle.backoff import pod_label
from minikubelet.lifecycle.facts import (
    ContainerExited,
    ContainerStarted,
    ContainerStartFailed,
    Fact,
    HookFinished,
    PodPrepared,
    PodPrepareFailed,
    ProbeAnswered,
)
from minikubelet.lifecycle.record import PodRecord
from minikubelet.lifecycle.restarts import will_restart_after_kill
from minikubelet.lifecycle.termination import signal_name

_PROBE_TITLE = {"startup": "Startup", "liveness": "Liveness", "readiness": "Readiness"}


@frozen
class Told:
    """An event before it has a time; `container` None is about the pod."""

    reason: str
    message: str
    type: EventType = "Normal"
    container: str | None = None


SILENT = frozenset({StartContainer, RunHook, AskProbe, PassInit, PreparePod, PodPrepared, FinishPod})
"Most of what happens: no Event is ever made of it."


def events_of(record: PodRecord, what: Fact | Action) -> Iterator[Told]:
    match what:
        case ProbeAnswered():
            yield from _probe_events(record, what)
        case ContainerStarted(name):
            yield Told("Created", f"Created container: {name}", container=name)
            yield Told("Started", f"Started container {name}", container=name)
        case ContainerStartFailed(name, message=message):
            yield Told("Failed", f"Error: {message}", "Warning", name)
        case ContainerExited(name, attempt, exit_code):
            yield from _exit_event(record, name, attempt, exit_code)
        case BackOff(name):
            text = f"Back-off restarting failed container {name} in pod {pod_label(record.pod.metadata)}"
            yield Told("BackOff", text, "Warning", name)
        case StopContainer(name):
            yield Told("Killing", _killing(record, what), container=name)
        case SignalContainer(name, signal=signal):
            # ours, like `Exited`: which signal was sent, and when, decides whether a shutdown was in order
            yield Told("Signalled", f"Sent {signal_name(signal)} to container {name}", container=name)
        case HookFinished():
            yield from _hook_events(record, what)
        case CancelHook(name, hook="preStop"):
            yield Told(
                "FailedPreStopHook", "the grace period ran out before the hook returned", "Warning", name
            )
        case PodPrepareFailed(message):
            yield Told("FailedMount", message, "Warning")
        case ExplainGate(name, news=news):
            yield Told("StartGate", _start_gate(name, news), "Warning" if news == "stuck" else "Normal", name)
        case EndPod(cause="deadline", reason=str(reason), message=str(message)):
            yield Told(reason, message)
        case EndPod(cause="restartAll", trigger=str(trigger)):
            text = f"Container {trigger} exited with a code whose rule restarts all containers of the pod"
            yield Told("RestartAllContainers", text, container=trigger)
        case RestartPod():
            yield Told("RestartingAllContainers", "All containers are gone, starting the pod over in place")


def _exit_event(record: PodRecord, name: str, attempt: int, exit_code: int) -> Iterator[Told]:
    """No kubelet event: it is ours, since there is no `kubectl get --watch` beside a local run."""
    run = record.containers[name].run
    if run is not None and run.attempt == attempt and run.is_live:
        yield Told("Exited", f"Container {name} exited with code {exit_code}", container=name)


def _killing(record: PodRecord, what: StopContainer) -> str:
    """EVENT-2."""
    if what.cause == "pod":
        return f"Stopping container {what.name}"
    is_sidecar = what.name in record.spec.sidecars
    failed = f"{'Init container' if is_sidecar else 'Container'} {what.name} failed"
    if what.cause == "postStart":
        return f"{failed} its postStart hook"
    restarts = will_restart_after_kill(record.spec, record.spec.all_containers[what.name])
    return f"{failed} {what.cause} probe" + (", will be restarted" if restarts and not is_sidecar else "")


def _hook_events(record: PodRecord, fact: HookFinished) -> Iterator[Told]:
    run = record.containers[fact.name].run
    hook = run.hook(fact.hook) if run is not None and run.attempt == fact.attempt else None
    if hook is None or not hook.is_under_way:
        return
    if fact.error is not None:
        reason = "FailedPostStartHook" if fact.hook == "postStart" else "FailedPreStopHook"
        yield Told(reason, fact.error, "Warning", fact.name)
    elif fact.http_fallback is not None:
        yield Told("LifecycleHTTPFallback", fact.http_fallback, "Warning", fact.name)


def _probe_events(record: PodRecord, fact: ProbeAnswered) -> Iterator[Told]:
    """EVENT-3: every failed attempt is told; answers that no longer count are not (PROBE-30)."""
    run = record.containers[fact.name].run
    if run is None or run.attempt != fact.attempt or not run.is_live:
        return
    if fact.kind != "readiness" and (record.ending is not None or run.stopping is not None):
        return
    title = _PROBE_TITLE[fact.kind]
    if fact.result == "failure":
        yield Told("Unhealthy", f"{title} probe failed: {fact.output}", "Warning", fact.name)
    elif fact.result == "error":
        yield Told("Unhealthy", f"{title} probe errored: {fact.output}", "Warning", fact.name)
    elif fact.warning is not None:
        yield Told("ProbeWarning", f"{title} probe warning: {fact.warning}", "Warning", fact.name)


def _start_gate(name: str, news: GateNews) -> str:
    match news:
        case "held":
            return (
                f"Sidecar {name} is started but not ready yet, and what follows waits for its readinessProbe "
                "(--start-gate ready). A cluster would go on now: with --start-gate started so does this "
                "run, and a startupProbe makes both wait"
            )
        case "stuck":
            return (
                f"Sidecar {name} failed its readinessProbe up to the failureThreshold and still holds up "
                "what follows (--start-gate ready). If it can become ready only after what follows has "
                "started, it never will: a cluster would have gone on, use --start-gate started"
            )
        case "passed":
            return (
                f"Sidecar {name} is started and what follows goes on although its readinessProbe has not "
                "succeeded (--start-gate started), as a cluster does; with --start-gate ready it would wait"
            )
