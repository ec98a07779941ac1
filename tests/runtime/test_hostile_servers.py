"""Probes of servers that mean ill: each costs its timeout, ten KiB and no descriptor at most."""

import gzip
import os
import re
import socket
from collections.abc import Awaitable, Callable
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio
from loopback import Answers, Endless, Silent, closes_its_sockets, free_port, ok, run, server_tls, serving
from test_handlers import ask, http_probe, tcp_probe

from minikubelet.api.pod import ExecAction, GRPCAction, Probe
from minikubelet.runtime.base import ProbeAnswer
from minikubelet.runtime.http_client import MAX_BODY_BYTES, Connection, RequestError, dial, get
from minikubelet.runtime.process import CommandResult, run_command
from minikubelet.runtime.reactor import Reactor
from minikubelet.runtime.reaper import Reaper

TIMEOUT = 1
"Seconds; a probe's timeoutSeconds are whole."


def asked(server: Callable[[Any], Awaitable[None]], make: Callable[[int], Probe], **how: Any) -> ProbeAnswer:
    """The answer of a probe, which `run` does not wait for without end."""

    async def test() -> ProbeAnswer:
        async with serving(server, **how) as port:
            return await ask(make(port))

    return run(test)


def http(port: int) -> Probe:
    return http_probe(port, TIMEOUT)


def https(port: int) -> Probe:
    return http_probe(port, TIMEOUT, scheme="HTTPS")


def grpc(port: int) -> Probe:
    return Probe(grpc=GRPCAction(port), timeout_seconds=TIMEOUT)


@attrs.frozen
class Dripping:
    """A handler that sends a byte of this every tenth of a second, and begins again at its end."""

    data: bytes

    async def __call__(self, stream: trio.abc.Stream) -> None:
        for byte in cycle(self.data):
            await stream.send_all(bytes((byte,)))
            await trio.sleep(0.1)


# ------------------------------------------------------------------ slow


@pytest.mark.parametrize("make", [http, https, grpc])
@pytest.mark.parametrize(
    "server",
    [Silent(), Dripping(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 1000), Dripping(b"\x16\x03\x03\x40\x00")],
    ids=["says nothing", "drips a head", "drips a handshake"],
)
def test_PROBE_20_a_server_that_takes_its_time_costs_the_timeout(server: Any, make: Any) -> None:
    assert asked(server, make).result == "failure"


def test_PROBE_20_a_body_that_drips_costs_the_timeout() -> None:
    async def serve(stream: trio.abc.Stream) -> None:
        await stream.receive_some()
        await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n")
        await Dripping(b"x")(stream)

    answer = asked(serve, http)

    assert answer.result == "failure"
    assert "while reading body" in answer.output


def test_PROBE_27_a_server_that_accepts_and_stalls_is_a_success() -> None:
    assert asked(Silent(), lambda port: tcp_probe(port, TIMEOUT)).result == "success"


def test_PROBE_27_a_server_that_never_accepts_costs_the_timeout_at_most() -> None:
    async def test() -> ProbeAnswer:
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            listener.listen(0)
            address = listener.getsockname()
            with socket.create_connection(address):  # the queue is full
                return await ask(tcp_probe(address[1], TIMEOUT))

    assert run(test).result in ("success", "failure")  # whether the kernel still takes it is its own affair


# ------------------------------------------------------------------ large


def test_PROBE_24_a_bomb_is_not_decompressed() -> None:
    """Nobody asked for compression, and what comes is what was sent."""
    bomb = gzip.compress(bytes(5_000_000))

    async def test() -> tuple[bytes, list[str]]:
        server = Answers(ok(bomb, b"Content-Encoding: gzip"))
        async with serving(server) as port:
            return (await get(f"http://127.0.0.1:{port}/", ())).body, server.requests

    body, requests = run(test)

    assert body == bomb[:MAX_BODY_BYTES]
    assert "accept-encoding" not in requests[0].lower()


def test_PROBE_24_very_many_headers_are_given_up() -> None:
    headers = b"".join(b"h%d: 1\r\n" % number for number in range(20_000))
    answer = asked(Answers(b"HTTP/1.1 200 OK\r\n" + headers + b"\r\n"), http)

    assert answer.result == "failure"


@pytest.mark.parametrize(
    ("start", "piece"),
    [
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1;" + b"e" * 1000 + b"\r\nx\r\n"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n", b"x" * 1000),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n", b"x" * 1000),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        (b"HTTP/1.1 ", b"2"),
        (b"", b"\x00"),
        (b"", b"\r\n"),
    ],
)
def test_PROBE_24_of_what_has_no_end_little_is_read(
    start: bytes, piece: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    received = 0
    receive_some = Connection.receive_some

    async def counted(self: Connection, max_bytes: int | None = None) -> bytes:
        nonlocal received
        data = await receive_some(self, max_bytes)
        received += len(data)
        return data

    monkeypatch.setattr(Connection, "receive_some", counted)
    server = Endless(start, piece * 500)

    asked(server, lambda port: http_probe(port, 10))

    assert 0 < received <= 160 * 1024


def test_PROBE_24_tls_has_no_messages_of_its_own_without_end(tmp_path: Path) -> None:
    """Session tickets, of which a server may send any number before it answers."""
    tls = server_tls(tmp_path)
    tls.num_tickets = 2_000

    answer = asked(Answers(ok()), lambda port: http_probe(port, 10, scheme="HTTPS"), tls=tls)

    assert answer.result == "failure"


def test_PROBE_28_an_endless_answer_is_cut_off() -> None:
    settings = b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"
    answer = asked(Endless(settings, b"\x00\x40\x00\x00\x00" + b"\x00" * 16388), grpc)

    assert answer.result == "failure"


def test_PROBE_28_a_message_that_says_it_is_huge_is_not_waited_for() -> None:
    settings = b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"
    headers = b"\x00\x00\x01\x01\x04\x00\x00\x00\x01\x88"
    data = b"\x00\x00\x05\x00\x00\x00\x00\x00\x01\x00\xff\xff\xff\xff"

    assert asked(Silent(settings + headers + data), grpc).result == "failure"


# ------------------------------------------------------------------ wrong


@pytest.mark.parametrize(
    "said",
    [
        b"220 ready\r\n",
        b"\x15\x03\x03\x00\x02\x02\x28",  # alert: handshake failure
        b"\x16\x03\x03\xff\xff" + b"\xff" * 70_000,
        b"\x16\x03\x03\x00\x04\x00\x00\x00\x00" * 5000,  # HelloRequest: renegotiation
        b"\x80\x2e\x01\x00\x02" + b"\x00" * 100,
        b"\x00" * 100_000,
        b"HTTP/1.1 400 No\r\n\r\n",
    ],
)
def test_PROBE_20_what_is_no_tls_is_a_failure(said: bytes) -> None:
    assert asked(Silent(said), https).result == "failure"


def test_PROBE_24_a_redirect_loop_between_ways_of_writing_one_place_ends() -> None:
    async def test() -> tuple[str, int]:
        server = Answers(b"HTTP/1.1 302 Found\r\nLocation: a/../%61/?x#y\r\nContent-Length: 0\r\n\r\n")
        async with serving(server) as port:
            with pytest.raises(RequestError) as caught:
                await get(f"http://127.0.0.1:{port}/", ())
            return str(caught.value), len(server.requests)

    message, requests = run(test)

    assert "stopped after 10 redirects" in message
    assert requests == 10


@pytest.mark.parametrize(
    "location",
    [
        "http://127.0.0.2:1/",
        "//127.0.0.2/",
        "http://127.0.0.1@127.0.0.2/",
        "file:///etc/passwd",
        "gopher://x/",
    ],
)
def test_PROBE_24_a_redirect_leads_nowhere_else(location: str) -> None:
    """No request goes to another host or into a file; the kubelet takes the redirect itself for an answer."""
    head = f"HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n"
    answer = asked(Answers(head.encode()), http)

    assert answer.result == "success"
    assert answer.warning == "Probe terminated redirects, Response body: "


# ------------------------------------------------------------------ commands


def test_PROBE_21_a_command_that_prints_without_end_costs_its_timeout_and_ten_kibibytes(
    tmp_path: Path,
) -> None:
    probe = Probe(exec=ExecAction(("yes",)), timeout_seconds=TIMEOUT)
    kept: list[int] = []

    async def test() -> ProbeAnswer:
        from minikubelet.runtime.logs import ContainerLog
        from minikubelet.runtime.process import LocalProcess

        reactor = Reactor()
        reaper = Reaper(reactor)
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(reactor.run, lambda: None)
                log = ContainerLog(str(tmp_path), 0)
                process = LocalProcess.start(
                    reaper,
                    ["sleep", "60"],
                    container_id="test/c/0",
                    env={"PATH": os.environ["PATH"]},
                    cwd="/",
                    log=log,
                    exited=lambda code: None,
                )

                async def run_exec(words: Any, timeout_seconds: float | None) -> CommandResult:
                    result = await run_command(
                        process,
                        words,
                        env={"PATH": os.environ["PATH"]},
                        cwd="/",
                        timeout_seconds=timeout_seconds,
                    )
                    kept.append(len(result.output))
                    return result

                answer = await ask(probe, run_exec=run_exec)
                nursery.cancel_scope.cancel()
                return answer
        finally:
            reaper.close()
            reactor.close()

    answer = run(test)

    assert answer == ProbeAnswer("failure", 'command timed out: "yes" timed out after 1s')
    assert kept[0] <= 16 * 1024


# ------------------------------------------------------------------ nothing is left


@closes_its_sockets
def test_PROBE_20_ten_thousand_failing_probes_leave_no_descriptor() -> None:
    """Counted before and after; what servers still hold closes in its own time."""

    async def test() -> set[str]:
        results: set[str] = set()
        async with serving(Answers(b"garbage\r\n\r\n")) as garbage:
            closed = free_port()
            before = descriptors()
            kinds = [tcp_probe(closed, 10)] * 8 + [http_probe(closed, 10), http_probe(garbage, 10)]
            probes = islice(cycle(kinds), 10_000)

            async def some() -> None:
                for probe in probes:
                    results.add((await ask(probe)).result)

            async with trio.open_nursery() as nursery:
                for _ in range(20):
                    nursery.start_soon(some)
            while descriptors() > before:
                await trio.sleep(0.01)
        return results

    async def patient() -> set[str]:
        with trio.fail_after(300):
            return await test()

    assert trio.run(patient) == {"failure"}


def descriptors() -> int:
    """But for event loops' own, which trio makes as it needs them."""
    return sum(not re.search("eventpoll|eventfd", name) for name in map(_name, os.listdir("/proc/self/fd")))


def _name(fd: str) -> str:
    try:
        return os.readlink(f"/proc/self/fd/{fd}")
    except OSError:
        return "eventfd, or just closed"


def test_a_connection_ends_where_its_bytes_are_more_than_any_answer_takes() -> None:
    async def test() -> int:
        received = 0
        async with serving(Endless(b"", b"x" * 10_000)) as port:
            with await dial("127.0.0.1", port) as connection:
                await connection.send_all(b"go")
                while data := await connection.receive_some():
                    received += len(data)
        return received

    assert 100 * 1024 < run(test) <= 256 * 1024
