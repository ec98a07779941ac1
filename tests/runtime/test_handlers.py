"""Probes and hooks as the kubelet words them, against real servers and a scripted `run_exec`."""

import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import StreamEnded
from loopback import (
    Answers,
    Endless,
    Silent,
    closes_its_sockets,
    free_port,
    ok,
    open_sockets,
    run,
    server_tls,
    serving,
    status,
)

from minikubelet.api.pod import (
    Container,
    ContainerPort,
    ExecAction,
    GRPCAction,
    HTTPGetAction,
    HTTPHeader,
    LifecycleHandler,
    Probe,
    SleepAction,
    TCPSocketAction,
)
from minikubelet.runtime.base import HookAnswer, ProbeAnswer
from minikubelet.runtime.grpc_health import frame
from minikubelet.runtime.handlers import perform_hook, perform_probe
from minikubelet.runtime.process import CommandResult

CONTAINER = Container("main", ports=(ContainerPort(8080, name="web"), ContainerPort(70000, name="wrong")))


class Commands:
    """A `run_exec` which gives the results it was made with, and complains about calls beyond them."""

    def __init__(self, *results: CommandResult) -> None:
        self._results = list(results)
        self.calls: list[tuple[tuple[str, ...], float | None]] = []

    async def __call__(self, argv: Sequence[str], timeout_seconds: float | None) -> CommandResult:
        self.calls.append((tuple(argv), timeout_seconds))
        return self._results.pop(0)


async def ask(
    probe: Probe, run_exec: Commands | None = None, container: Container = CONTAINER
) -> ProbeAnswer:
    return await perform_probe("liveness", probe, container, run_exec=run_exec or Commands())


async def hook(handler: LifecycleHandler, run_exec: Commands | None = None) -> HookAnswer:
    return await perform_hook(handler, CONTAINER, run_exec=run_exec or Commands())


def exec_probe(*argv: str, timeout_seconds: int = 1) -> Probe:
    return Probe(exec=ExecAction(argv), timeout_seconds=timeout_seconds)


def http_probe(port: int | str, timeout_seconds: int = 10, **action: Any) -> Probe:
    return Probe(http_get=HTTPGetAction(port, **action), timeout_seconds=timeout_seconds)


def tcp_probe(port: int | str, timeout_seconds: int = 10, **action: Any) -> Probe:
    return Probe(tcp_socket=TCPSocketAction(port, **action), timeout_seconds=timeout_seconds)


def http_hook(port: int | str, **action: Any) -> LifecycleHandler:
    return LifecycleHandler(http_get=HTTPGetAction(port, **action))


def test_the_module_is_imported_without_trio_and_protocols():
    """It may be imported before the first container is started."""
    code = (
        "import sys, minikubelet.runtime.handlers;"
        "print([m for m in ('trio', 'h11', 'hyperframe', 'hpack', 'ssl', 'asyncio') if m in sys.modules])"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    assert printed == "[]\n"


# ------------------------------------------------------------------ exec probes


@pytest.mark.parametrize(("exit_code", "result"), [(0, "success"), (1, "failure"), (137, "failure")])
def test_PROBE_21_the_exit_code_of_a_command_is_the_answer(exit_code: int, result: str):
    """With its output, both streams together."""
    commands = Commands(CommandResult(exit_code, b"said this\n"))
    answer = run(lambda: ask(exec_probe("cat", "/tmp/health", timeout_seconds=7), commands))

    assert (answer.result, answer.output) == (result, "said this\n")
    assert commands.calls == [(("cat", "/tmp/health"), 7)]


def test_PROBE_21_ten_kibibytes_of_output_are_kept():
    """And bytes that are no UTF-8 do no harm."""
    answer = run(lambda: ask(exec_probe("yes"), Commands(CommandResult(1, b"\xff" * 20000))))

    assert answer.output == "\N{REPLACEMENT CHARACTER}" * 10240


def test_PROBE_20_a_command_that_ran_out_of_time_is_a_failure():
    """In the kubelet's words, whatever it said until then."""
    answer = run(lambda: ask(exec_probe("sh", "-c", 'sleep "9"'), Commands(CommandResult(None, b"partial"))))

    assert answer == ProbeAnswer("failure", 'command timed out: "sh -c sleep \\"9\\"" timed out after 1s')


def test_PROBE_19_a_command_that_cannot_be_started_is_an_error_after_three_attempts():
    """As container runtimes report it: not the container's failure."""
    missing = CommandResult(None, b"", start_error='exec: "pidof": No such file or directory')
    commands = Commands(missing, missing, missing)
    answer = run(lambda: ask(exec_probe("pidof", "x"), commands))

    assert answer == ProbeAnswer("error", 'exec: "pidof": No such file or directory')
    assert len(commands.calls) == 3


def test_PROBE_19_a_later_attempt_counts():
    """The first one that could be made at all."""
    busy = CommandResult(None, b"", start_error="Text file busy")
    answer = run(lambda: ask(exec_probe("check"), Commands(busy, CommandResult(1, b"no"))))

    assert answer == ProbeAnswer("failure", "no")


# ------------------------------------------------------------------ httpGet probes


async def ask_http(*answers: bytes, **action: Any) -> tuple[ProbeAnswer, list[str]]:
    """The answer, and the requests that led to it."""
    server = Answers(*answers)
    async with serving(server) as port:
        answer = await ask(http_probe(port, **action))
        return answer, [request.replace(str(port), "PORT") for request in server.requests]


@pytest.mark.parametrize("code", [200, 201, 204, 299])
def test_PROBE_23_two_hundreds_are_success(code: int):
    """Without the body, which may hold secrets."""
    answer, _ = run(lambda: ask_http(status(code, b"secret" if code != 204 else b"")))

    assert answer == ProbeAnswer("success")


@pytest.mark.parametrize("code", [400, 404, 500, 503, 599, 999])
def test_PROBE_23_four_hundred_and_above_are_failures_without_the_body(code: int):
    """The text is the kubelet's."""
    answer, _ = run(lambda: ask_http(status(code, b"secret")))

    assert answer == ProbeAnswer("failure", f"HTTP probe failed with statuscode: {code}")


def test_PROBE_23_a_failing_status_counts_even_if_its_body_breaks_off():
    """It tells more than the end of the connection."""
    answer, _ = run(lambda: ask_http(status(500, b"a body")[:-1]))

    assert answer == ProbeAnswer("failure", "HTTP probe failed with statuscode: 500")


def test_PROBE_23_a_body_that_breaks_off_is_a_failure():
    """A transport error like any other."""
    answer, _ = run(lambda: ask_http(ok(b"a body")[:-1]))

    assert answer == ProbeAnswer("failure", "unexpected EOF")


@pytest.mark.parametrize(
    "final",
    [
        status(302, b"elsewhere", b"Location: http://other.example/"),
        status(302, b"elsewhere"),
        status(300, b"elsewhere"),
    ],
)
def test_PROBE_24_a_redirect_that_is_not_followed_is_success_with_a_warning(final: bytes):
    """To another host, to nowhere, or a choice."""
    answer, _ = run(lambda: ask_http(final))

    assert answer == ProbeAnswer("success", warning="Probe terminated redirects, Response body: elsewhere")


def test_PROBE_24_a_followed_redirect_answers_with_what_it_leads_to():
    """Here a failure."""
    answer, requests = run(lambda: ask_http(status(301, b"", b"Location: /healthz"), status(500)))

    assert answer == ProbeAnswer("failure", "HTTP probe failed with statuscode: 500")
    assert [request.split()[1] for request in requests] == ["/", "/healthz"]


def test_PROBE_20_a_refused_connection_is_a_failure():
    """With the URL and the address."""
    port = free_port()
    answer = run(lambda: ask(http_probe(port, path="/healthz")))

    url, dial = f"http://127.0.0.1:{port}/healthz", f"dial tcp 127.0.0.1:{port}"
    assert answer == ProbeAnswer("failure", f'Get "{url}": {dial}: connect: connection refused')


def test_PROBE_20_the_timeout_is_a_failure():
    """`timeoutSeconds` as it stands in the probe."""

    async def test() -> ProbeAnswer:
        async with serving(Silent()) as port:
            answer = await ask(http_probe(port, timeout_seconds=1))
            return ProbeAnswer(answer.result, answer.output.replace(str(port), "PORT"))

    error = "context deadline exceeded (Client.Timeout exceeded while awaiting headers)"
    assert run(test) == ProbeAnswer("failure", f'Get "http://127.0.0.1:PORT/": {error}')


def test_PROBE_24_https_works_with_any_certificate(tmp_path: Path):
    """The scheme is the API's, in capitals."""

    async def test() -> ProbeAnswer:
        async with serving(Answers(ok()), tls=server_tls(tmp_path)) as port:
            return await ask(http_probe(port, scheme="HTTPS"))

    assert run(test) == ProbeAnswer("success")


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ([], ["Host: 127.0.0.1:PORT", "User-Agent: kube-probe/1.36", "Accept: */*", "Connection: close"]),
        (
            [
                ("User-Agent", "own"),
                ("accept", "text/html"),
                ("host", "virtual"),
                ("Connection", "keep-alive"),
            ],
            ["Host: virtual", "User-Agent: own", "accept: text/html", "Connection: keep-alive"],
        ),
        ([("Accept", ""), ("User-Agent", "")], ["Host: 127.0.0.1:PORT", "Connection: close"]),
        ([("Host", "")], None),
        (
            [
                ("X-A", "1"),
                ("X-A", " 2\t"),
                ("x-b", "ü"),
                ("Content-Length", "5"),
                ("Host", "a"),
                ("Host", "b"),
            ],
            [
                *("Host: a", "User-Agent: kube-probe/1.36", "Accept: */*", "Connection: close"),
                *("X-A: 1", "X-A: 2", "x-b: \u00c3\u00bc"),
            ],
        ),
    ],
    ids=["none", "own", "emptied", "empty host", "others"],
)
def test_PROBE_25_headers_are_those_of_the_manifest_and_the_kubelet(
    given: list[tuple[str, str]], sent: list[str] | None
):
    """User-Agent and Accept unless given, an empty value removes them; Host overrides; never compressed."""
    headers = tuple(HTTPHeader(name, value) for name, value in given)
    _, (request,) = run(lambda: ask_http(ok(), http_headers=headers))
    _, (plain,) = run(lambda: ask_http(ok()))

    head = request.removesuffix("\r\n\r\n").split("\r\n")
    assert head[0] == "GET / HTTP/1.1"
    assert head[1:] == (plain.removesuffix("\r\n\r\n").split("\r\n")[1:] if sent is None else sent)


def test_PROBE_25_a_header_that_would_break_the_request_is_a_failure():
    """As with the kubelet, whose client refuses it; the server hears nothing."""
    answer, requests = run(lambda: ask_http(ok(), http_headers=(HTTPHeader("X-A", "1\r\nX-Injected: 2"),)))

    assert answer.result == "failure"
    assert "invalid request: Illegal header value" in answer.output
    assert requests == []


def test_PROBE_25_a_path_cannot_break_the_request():
    """It is escaped."""
    _, (request,) = run(lambda: ask_http(ok(), path="x HTTP/1.1\r\nX-Injected: 1\r\n\r\n"))

    assert request.startswith("GET /x%20HTTP/1.1%0D%0AX-Injected:%201%0D%0A%0D%0A HTTP/1.1\r\nHost: ")


def test_PROBE_25_query_strings_are_honoured():
    """And a path may lack its slash."""
    _, (request,) = run(lambda: ask_http(ok(), path="healthz?verbose=1"))

    assert request.startswith("GET /healthz?verbose=1 HTTP/1.1\r\n")


def test_PROBE_19_a_host_that_no_url_can_hold_is_an_error():
    """The question cannot be put."""
    answer = run(lambda: ask(http_probe(80, host="a\r\nb")))

    assert answer.result == "error"


# ------------------------------------------------------------------ ports


@pytest.mark.parametrize("make", [http_probe, tcp_probe])
def test_PROBE_29_a_named_port_is_the_containers_own(make: Any):
    """By its containerPort."""

    async def test() -> ProbeAnswer:
        async with serving(Answers(ok())) as port:
            return await ask(
                make("web"), container=Container("main", ports=(ContainerPort(port, name="web"),))
            )

    assert run(test) == ProbeAnswer("success")


@pytest.mark.parametrize("make", [http_probe, tcp_probe])
@pytest.mark.parametrize(
    ("port", "error"),
    [
        ("admin", 'port "admin" not found'),
        ("8080", 'port "8080" not found'),
        ("wrong", "invalid port number: 70000"),
        (0, "invalid port number: 0"),
    ],
)
def test_PROBE_19_a_port_that_cannot_be_resolved_is_an_error(make: Any, port: int | str, error: str):
    """So that a liveness probe with a misspelt port never kills."""
    assert run(lambda: ask(make(port))) == ProbeAnswer("error", error)


# ------------------------------------------------------------------ tcpSocket probes


def test_PROBE_27_a_completed_connect_is_success_and_closed_without_a_byte():
    """The server sees the end of the stream at once."""

    async def test() -> tuple[ProbeAnswer, bytes]:
        send, receive = trio.open_memory_channel[bytes](1)

        async def handler(stream: trio.SocketStream) -> None:
            await send.send(await stream.receive_some())

        async with serving(handler) as port:
            return await ask(tcp_probe(port)), await receive.receive()

    assert run(test) == (ProbeAnswer("success"), b"")


def test_PROBE_20_a_refused_connect_is_a_failure():
    """With the address."""
    port = free_port()

    assert run(lambda: ask(tcp_probe(port, host="127.0.0.1"))) == ProbeAnswer(
        "failure", f"dial tcp 127.0.0.1:{port}: connect: connection refused"
    )


def test_PROBE_20_a_connect_that_is_not_answered_is_a_failure():
    """A listener whose queue is full lets the next one wait."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port = listener.getsockname()[1]
        waiting = [socket.socket() for _ in range(4)]
        try:
            for sock in waiting:
                sock.setblocking(False)
                sock.connect_ex(("127.0.0.1", port))
            answer = run(lambda: ask(tcp_probe(port, timeout_seconds=1)))
        finally:
            for sock in waiting:
                sock.close()

    assert answer == ProbeAnswer("failure", f"dial tcp 127.0.0.1:{port}: i/o timeout")


# ------------------------------------------------------------------ grpc probes


def grpc_server(health: bytes) -> Any:
    async def handler(stream: trio.SocketStream) -> None:
        http = H2Connection(H2Configuration(client_side=False))
        http.initiate_connection()
        while data := await stream.receive_some():
            for event in http.receive_data(data):
                if isinstance(event, StreamEnded):
                    http.send_headers(1, [(":status", "200"), ("content-type", "application/grpc")])
                    http.send_data(1, frame(health))
                    http.send_headers(1, [("grpc-status", "0")], end_stream=True)
            await stream.send_all(http.data_to_send())

    return handler


@pytest.mark.parametrize(
    ("health", "answer"),
    [
        (b"\x08\x01", ProbeAnswer("success", "service healthy")),
        (b"\x08\x02", ProbeAnswer("failure", 'service unhealthy (responded with "NOT_SERVING")')),
    ],
)
def test_PROBE_28_a_grpc_probe_asks_the_health_service(health: bytes, answer: ProbeAnswer):
    """Everything but SERVING is a failure."""

    async def test() -> ProbeAnswer:
        async with serving(grpc_server(health)) as port:
            return await ask(Probe(grpc=GRPCAction(port), timeout_seconds=10))

    assert run(test) == answer


# ------------------------------------------------------------------ hooks


def test_HOOK_8_an_exec_hook_has_no_timeout_and_its_words_are_not_touched():
    """`$(NAME)` stays as it is."""
    commands = Commands(CommandResult(0, b""))
    answer = run(lambda: hook(LifecycleHandler(exec=ExecAction(("echo", "$(NAME)"))), commands))

    assert answer == HookAnswer()
    assert commands.calls == [(("echo", "$(NAME)"), None)]


@pytest.mark.parametrize(
    ("result", "reason"),
    [
        (CommandResult(3, b"a secret"), "it exited with 3"),
        (CommandResult(None, b"", start_error='exec: "sh": not found'), 'exec: "sh": not found'),
    ],
)
def test_EVENT_4_a_failed_exec_hook_tells_the_reason_without_its_output(result: CommandResult, reason: str):
    """Output may hold secrets, and the script as well: `echo a secret` says what it writes."""
    action = ExecAction(("sh", "-c", "echo a secret"))
    answer = run(lambda: hook(LifecycleHandler(exec=action), Commands(result)))

    assert answer == HookAnswer(f'Exec lifecycle hook for Container "main" failed - error: {reason}')


@pytest.mark.parametrize("response", [ok(), status(404), status(500, b"secret"), ok(b"a body")[:-1]])
def test_HOOK_9_any_status_is_success(response: bytes):
    """Even one whose body breaks off."""

    async def test() -> HookAnswer:
        async with serving(Answers(response)) as port:
            return await hook(http_hook(port))

    assert run(test) == HookAnswer()


def test_HOOK_9_the_request_comes_from_kube_lifecycle():
    """Otherwise it is a probe's."""

    async def test() -> str:
        server = Answers(ok())
        async with serving(server) as port:
            await hook(http_hook(port, path="echo?msg=prestop"))
        return server.requests[0]

    request = run(test)

    assert request.startswith("GET /echo?msg=prestop HTTP/1.1\r\n")
    assert "\r\nUser-Agent: kube-lifecycle/1.36\r\n" in request


def test_HOOK_9_only_transport_errors_fail():
    """Here a refused connection."""
    port = free_port()
    answer = run(lambda: hook(http_hook(port, path="/stop")))

    reason = f'Get "http://127.0.0.1:{port}/stop": dial tcp 127.0.0.1:{port}: connect: connection refused'
    assert answer == HookAnswer(f'HTTP lifecycle hook (/stop) for Container "main" failed - error: {reason}')


def test_HOOK_9_a_port_that_cannot_be_resolved_fails_the_hook():
    """A hook knows no errors beside failures."""
    answer = run(lambda: hook(http_hook("admin")))

    assert (
        answer.error == 'HTTP lifecycle hook (/) for Container "main" failed - error: port "admin" not found'
    )


class PlainServer:
    """Answers a TLS hello with `to_tls`, and an HTTP request with `to_http`."""

    def __init__(self, to_http: bytes) -> None:
        self.to_http = to_http
        self.requests: list[str] = []

    async def __call__(self, stream: trio.SocketStream) -> None:
        data = await stream.receive_some()
        if data.startswith(b"\x16"):
            await stream.send_all(status(400, b"Client sent an HTTP request to an HTTPS server."))
        else:
            self.requests.append(data.decode())
            await stream.send_all(self.to_http)


def test_HOOK_9_https_falls_back_to_http_where_the_server_speaks_no_tls():
    """Without Authorization, which was meant for an encrypted connection; told by an event."""

    async def test() -> tuple[HookAnswer, str]:
        server = PlainServer(ok())
        headers = (HTTPHeader("Authorization", "secret"), HTTPHeader("X-A", "1"))
        async with serving(server) as port:
            answer = await hook(http_hook(port, scheme="HTTPS", http_headers=headers))
            text = (answer.http_fallback or "").replace(str(port), "PORT")
        return HookAnswer(answer.error, text), server.requests[0]

    answer, request = run(test)

    host = "127.0.0.1:PORT"
    assert answer == HookAnswer(
        None, f"request to HTTPS lifecycle hook {host} got HTTP response, retry with HTTP succeeded"
    )
    assert "X-A: 1" in request
    assert "secret" not in request


def test_HOOK_9_a_fallback_that_fails_leaves_the_first_error():
    """It is the one that explains the manifest's mistake."""

    async def test() -> HookAnswer:
        async with serving(PlainServer(b"")) as port:
            return await hook(http_hook(port, scheme="HTTPS"))

    answer = run(test)

    assert answer.http_fallback is None
    assert (answer.error or "").endswith("http: server gave HTTP response to HTTPS client")


def test_HOOK_10_sleep_waits_its_seconds():
    """In virtual time."""

    async def test() -> tuple[HookAnswer, float]:
        began = trio.current_time()
        answer = await hook(LifecycleHandler(sleep=SleepAction(90)))
        return answer, trio.current_time() - began

    assert trio.run(test, clock=trio.testing.MockClock(autojump_threshold=0)) == (HookAnswer(), 90)


def test_HOOK_1_a_tcp_socket_hook_fails_at_run_time():
    """The API accepts it, nothing performs it."""
    answer = run(lambda: hook(LifecycleHandler(tcp_socket=TCPSocketAction(80))))

    assert answer == HookAnswer("Cannot run handler: invalid handler: tcpSocket")


# ------------------------------------------------------------------ resources


@closes_its_sockets
def test_HOOK_6_a_cancelled_hook_closes_its_connection():
    """It has no timeout of its own; the server sees it gone."""

    async def test() -> list[str]:
        server = Silent()
        async with serving(server) as port:
            before = open_sockets()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(hook, http_hook(port))
                await server.connected.wait()
                nursery.cancel_scope.cancel()
            await server.left.wait()
            while len(open_sockets()) > len(before):  # the server's end
                await trio.sleep(0.01)
        return before

    assert run(test)


@closes_its_sockets
def test_PROBE_20_hundreds_of_failing_probes_leave_no_socket_open():
    """Of every kind and every manner of failing."""

    async def test() -> set[str]:
        endless = Endless(b"HTTP/1.1 500 No\r\n\r\n", b"x" * 1000)
        results: set[str] = set()
        async with (
            serving(Answers(b"garbage\r\n\r\n")) as garbage,
            serving(Answers(status(503))) as unhealthy,
            serving(Silent()) as silent,
            serving(endless) as body,
        ):

            async def one(probe: Probe) -> None:
                results.add((await ask(probe)).result)

            before = open_sockets()
            probes = [
                *(http_probe(port, 1) for port in (free_port(), garbage, unhealthy, silent, body)),
                *(http_probe(port, 1, scheme="HTTPS") for port in (free_port(), garbage, silent, body)),
                *(Probe(grpc=GRPCAction(port)) for port in (free_port(), garbage, unhealthy, silent, body)),
                tcp_probe(free_port(), 1),
            ]
            async with trio.open_nursery() as nursery:
                for probe in probes * 20:
                    nursery.start_soon(one, probe)
            while len(open_sockets()) > len(before):  # the servers' ends, which close in their own time
                await trio.sleep(0.01)
        return results

    assert run(test) == {"failure"}
