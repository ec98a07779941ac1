"""Performing one probe or one hook: the handler says what to ask, this module asks and words the answer.

httpGet, tcpSocket and grpc are done from here over the network, without threads or helper programs;
exec is handed to whoever can run a command in the container. It knows nothing of periods, thresholds or
grace, and never raises for what a server or a command does. The one idea: an answer is a *failure* if
the container was asked, or could not be reached, and an *error* only if the question cannot be put at
all (PROBE-19, PROBE-20). Texts are the kubelet's (`pkg/probe`, `pkg/kubelet/lifecycle`).

trio and the protocol libraries are imported when first needed: this module may be imported early.
"""

import functools
import json
from collections.abc import Awaitable, Callable, Sequence

from minikubelet.api.pod import (
    Container,
    ExecAction,
    GRPCAction,
    HTTPGetAction,
    HTTPHeader,
    IntOrString,
    LifecycleHandler,
    Probe,
    TCPSocketAction,
)
from minikubelet.lifecycle.backoff import go_duration
from minikubelet.lifecycle.facts import ProbeKind
from minikubelet.runtime.base import HookAnswer, ProbeAnswer
from minikubelet.runtime.process import CommandResult
from minikubelet.runtime.spawn import ShortageError

KUBERNETES_VERSION = "1.36"
"What probes and hooks say they come from: `kube-probe/1.36`."

DEFAULT_HOST = "127.0.0.1"
"PROBE-26: all pods share the host's network, so this is the pod IP."

MAX_OUTPUT_BYTES = 10 * 1024
"PROBE-21."

MAX_PROBE_ATTEMPTS = 3
"PROBE-19; `maxProbeRetries` in `prober.go`."

LATE_SECONDS = 1.0
"""A failure that is noticed so long after the probe's timeout tells of us, not of the container: we have been
stopped meanwhile (Ctrl-Z, SIGSTOP, a virtual machine that was paused)."""


RunExec = Callable[[Sequence[str], float | None], Awaitable[CommandResult]]
"""Run a command in the container's context, for so many seconds at most (None: no limit), and reap it.

It gets the words of the manifest; whether `$(NAME)` in them is expanded (PROBE-21) or not (HOOK-8) is
between the caller and the function it passes in.
"""


class HandlerError(Exception):
    """The handler cannot be put to use as it is written."""


# ------------------------------------------------------------------ probes


async def perform_probe(
    kind: ProbeKind, probe: Probe, container: Container, *, run_exec: RunExec
) -> ProbeAnswer:
    """Ask once, within `probe.timeout_seconds` seconds altogether (PROBE-21..28).

    All kinds are asked alike. Cancelling it closes the connection. An attempt that we slept through is
    made again.
    """
    import trio

    for _ in range(MAX_PROBE_ATTEMPTS):
        began = trio.current_time()
        answer = await _ask_once(kind, probe, container, run_exec)
        if answer.result != "failure":
            break
        if trio.current_time() - began < probe.timeout_seconds + LATE_SECONDS:
            break
    return answer


async def _ask_once(kind: ProbeKind, probe: Probe, container: Container, run_exec: RunExec) -> ProbeAnswer:
    try:
        if probe.exec is not None:
            return await _probe_exec(probe.exec, probe.timeout_seconds, run_exec)
        if probe.http_get is not None:
            return await _probe_http(probe.http_get, probe.timeout_seconds, container)
        if probe.tcp_socket is not None:
            return await _probe_tcp(probe.tcp_socket, probe.timeout_seconds, container)
        if probe.grpc is not None:
            return await _probe_grpc(probe.grpc, probe.timeout_seconds)
        raise HandlerError("missing probe handler")
    except (HandlerError, ShortageError) as error:
        return ProbeAnswer("error", str(error))


async def _probe_exec(action: ExecAction, timeout_seconds: float, run_exec: RunExec) -> ProbeAnswer:
    """PROBE-21. A command that cannot be started is an error: runtimes report it as one of theirs."""
    for _ in range(MAX_PROBE_ATTEMPTS):
        result = await run_exec(action.command, timeout_seconds)
        if result.start_error is None:
            break
    else:
        raise HandlerError(result.start_error)
    if result.exit_code is None:
        return ProbeAnswer("failure", _timed_out(action.command, timeout_seconds))
    output = result.output[:MAX_OUTPUT_BYTES].decode("utf-8", "replace")
    return ProbeAnswer("success" if result.exit_code == 0 else "failure", output)


async def _probe_http(action: HTTPGetAction, timeout_seconds: float, container: Container) -> ProbeAnswer:
    """PROBE-23, PROBE-24. The failure text never holds the body, nor does that of a plain success."""
    from minikubelet.runtime import http_client

    url, headers = _url(action, container), _headers(action.http_headers, "kube-probe")
    try:
        response = await http_client.get(url, headers, timeout_seconds=timeout_seconds)
    except http_client.RequestError as error:
        return ProbeAnswer("failure", str(error))
    if not 200 <= response.status < 400:
        return ProbeAnswer("failure", f"HTTP probe failed with statuscode: {response.status}")
    if response.body_error is not None:
        return ProbeAnswer("failure", response.body_error)
    if response.status >= 300:
        body = response.body.decode("utf-8", "replace")
        return ProbeAnswer("success", warning=f"Probe terminated redirects, Response body: {body}")
    return ProbeAnswer("success")


async def _probe_tcp(action: TCPSocketAction, timeout_seconds: float, container: Container) -> ProbeAnswer:
    """PROBE-27."""
    import trio

    from minikubelet.runtime.http_client import DialError, dial, join_host_port

    host, port = action.host or DEFAULT_HOST, resolve_port(action.port, container)
    with trio.move_on_after(timeout_seconds):
        try:
            with await dial(host, port):
                return ProbeAnswer("success")
        except DialError as error:
            return ProbeAnswer("failure", str(error))
    return ProbeAnswer("failure", f"dial tcp {join_host_port(host, port)}: i/o timeout")


async def _probe_grpc(action: GRPCAction, timeout_seconds: float) -> ProbeAnswer:
    """PROBE-28."""
    from minikubelet.runtime import grpc_health

    problem = await grpc_health.check(
        DEFAULT_HOST,
        action.port,
        action.service,
        timeout_seconds=timeout_seconds,
        user_agent=f"kube-probe/{KUBERNETES_VERSION}",
    )
    return ProbeAnswer("success", "service healthy") if problem is None else ProbeAnswer("failure", problem)


# ------------------------------------------------------------------ hooks


async def perform_hook(handler: LifecycleHandler, container: Container, *, run_exec: RunExec) -> HookAnswer:
    """Run a hook to its end (HOOK-8..10); how long that may take is the caller's affair, who cancels it."""
    if handler.exec is not None:
        return await _hook_exec(handler.exec, container, run_exec)
    if handler.http_get is not None:
        return await _hook_http(handler.http_get, container)
    if handler.sleep is not None:
        import trio

        await trio.sleep(handler.sleep.seconds)
        return HookAnswer()
    return HookAnswer(
        "Cannot run handler: invalid handler: tcpSocket"
    )  # HOOK-1: valid, but never implemented


async def _hook_exec(action: ExecAction, container: Container, run_exec: RunExec) -> HookAnswer:
    """HOOK-8: argv as it is. EVENT-4: nor is it told, as a script in it shows what it writes."""
    result = await run_exec(action.command, None)
    if result.exit_code == 0 and result.start_error is None:
        return HookAnswer()
    reason = result.start_error or f"it exited with {result.exit_code}"
    return HookAnswer(f"Exec lifecycle hook {_failed(container, reason)}")


async def _hook_http(action: HTTPGetAction, container: Container) -> HookAnswer:
    """HOOK-9: any answer will do. The body is waited for, but whether it arrives does not matter."""
    from minikubelet.runtime import http_client

    try:
        url = _url(action, container)
        headers = _headers(action.http_headers, "kube-lifecycle")
        try:
            await http_client.get(url, headers)
        except http_client.PlainHTTPError as error:
            headers = tuple((name, value) for name, value in headers if name.lower() != "authorization")
            try:
                await http_client.get("http" + url.removeprefix("https"), headers)
            except http_client.RequestError:
                raise error from None
            return HookAnswer(
                http_fallback=f"request to HTTPS lifecycle hook {url.split('/')[2]} "
                "got HTTP response, retry with HTTP succeeded"
            )
    except (HandlerError, ShortageError, http_client.RequestError) as error:
        return HookAnswer(f"HTTP lifecycle hook ({action.path}) {_failed(container, str(error))}")
    return HookAnswer()


# ------------------------------------------------------------------ what both need


def resolve_port(port: IntOrString, container: Container) -> int:
    """PROBE-29: names are looked up among this container's own ports. Raises `HandlerError`."""
    if isinstance(port, str):
        number = next((p.container_port for p in container.ports if p.name == port), None)
        if number is None:
            raise HandlerError(f"port {_quoted(port)} not found")
        port = number
    if not 0 < port < 65536:
        raise HandlerError(f"invalid port number: {port}")
    return port


def _url(action: HTTPGetAction, container: Container) -> str:
    from minikubelet.runtime.http_client import format_url

    port = resolve_port(action.port, container)
    try:
        return format_url(action.scheme, action.host or DEFAULT_HOST, port, action.path)
    except ValueError as error:
        raise HandlerError(str(error)) from error


@functools.lru_cache
def _headers(http_headers: tuple[HTTPHeader, ...], agent: str) -> tuple[tuple[str, str], ...]:
    """PROBE-25, and what Go does with the rest: an empty Host, User-Agent or Accept is as good as none,
    a second Host or User-Agent is not sent, and framing is not the manifest's business."""
    given = [(header.name, header.value) for header in http_headers]
    first = {name.lower(): value for name, value in reversed(given)}
    sent = {
        "Host": first.get("host", ""),
        "User-Agent": first.get("user-agent", f"{agent}/{KUBERNETES_VERSION}"),
        "Accept": "" if "accept" in first else "*/*",
        "Connection": "" if "connection" in first else "close",
    }
    not_sent = {"host", "user-agent", "content-length", "transfer-encoding", "trailer"}
    if first.get("accept") == "":
        not_sent.add("accept")
    others = [(name, value) for name, value in given if name.lower() not in not_sent]
    return (*((name, value) for name, value in sent.items() if value), *others)


def _timed_out(argv: Sequence[str], timeout_seconds: float) -> str:
    return f"command timed out: {_quoted(' '.join(argv))} timed out after {go_duration(timeout_seconds)}"


def _failed(container: Container, reason: str) -> str:
    return f"for Container {_quoted(container.name)} failed - error: {reason}"


def _quoted(text: str) -> str:
    """Go's %q, for all that occurs."""
    return json.dumps(text, ensure_ascii=False)
