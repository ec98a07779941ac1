"""Servers on loopback, as bad as a test wants them."""

import os
import random
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import pytest
import trio
import trio.abc

Handler = Callable[[Any], Awaitable[None]]
T = TypeVar("T")


def closes_its_sockets(test: Callable[[], None]) -> Callable[[], None]:
    """Fail a test which leaves sockets for the garbage collector to close."""
    for warning in ("error::ResourceWarning", "error::pytest.PytestUnraisableExceptionWarning"):
        test = pytest.mark.filterwarnings(warning)(test)
    return test


def run(test: Callable[[], Awaitable[T]]) -> T:
    """Run an async test, which hangs for twenty seconds at most."""

    async def bounded() -> T:
        with trio.fail_after(20):
            return await test()

    return trio.run(bounded)


@asynccontextmanager
async def serving(
    handler: Handler, *, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None
) -> AsyncIterator[int]:
    """Call `handler(stream)` for each connection and close it afterwards; gives the port."""

    async def serve(stream: trio.abc.Stream) -> None:
        if tls is not None:
            stream = trio.SSLStream(stream, tls, server_side=True, https_compatible=True)
        try:
            await handler(stream)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # the client went away, as some are meant to
        finally:
            with trio.CancelScope(shield=True):
                await trio.aclose_forcefully(stream)

    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host=host)
        nursery.start_soon(partial(trio.serve_listeners, serve, listeners))
        yield listeners[0].socket.getsockname()[1]
        nursery.cancel_scope.cancel()


class Answers:
    """A handler which reads each request and gives the next of these answers, the last one for ever.

    What came in is in `requests`; a connection without a request leaves none.
    """

    def __init__(self, *answers: bytes) -> None:
        self.answers = list(answers)
        self.requests: list[str] = []

    async def __call__(self, stream: trio.abc.Stream) -> None:
        request = b""
        while b"\r\n\r\n" not in request:
            data = await stream.receive_some()
            if not data:
                return
            request += data
        self.requests.append(request.decode("latin-1"))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        await stream.send_all(answer)


class Endless:
    """A handler which reads a request, sends `start`, then `piece` for ever; knows when it was cut off."""

    def __init__(self, start: bytes, piece: bytes) -> None:
        self.start, self.piece = start, piece
        self.cut_off = trio.Event()

    async def __call__(self, stream: trio.abc.Stream) -> None:
        await stream.receive_some()
        await stream.send_all(self.start)
        try:
            while True:
                await stream.send_all(self.piece)
        except trio.BrokenResourceError:
            self.cut_off.set()


class Silent:
    """A handler which sends `start` and then waits for the client to leave."""

    def __init__(self, start: bytes = b"") -> None:
        self.start = start
        self.connected = trio.Event()
        self.left = trio.Event()

    async def __call__(self, stream: trio.abc.Stream) -> None:
        self.connected.set()
        await stream.send_all(self.start)
        try:
            while await stream.receive_some():
                pass
        except trio.BrokenResourceError:
            pass
        self.left.set()


def ok(body: bytes = b"ok", *headers: bytes) -> bytes:
    return status(200, body, *headers)


def status(code: int, body: bytes = b"", *headers: bytes) -> bytes:
    lines = [b"HTTP/1.1 %d Some Words" % code, b"Content-Length: %d" % len(body), *headers]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def open_sockets() -> list[str]:
    """The sockets this process has open, by inode."""
    found = []
    for fd in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{fd}")
        except FileNotFoundError:  # the directory listing's own
            continue
        if target.startswith("socket:"):
            found.append(target)
    return sorted(found)


_taken = socket.socket()
_taken.bind(("127.0.0.1", 0))


def free_port() -> int:
    """A port on which nobody listens, nor ever will: it is bound by this process."""
    port: int = _taken.getsockname()[1]
    return port


_claims: list[socket.socket] = []
"Whoever holds the name of an abstract socket, unix(7), may use the port of that name."


def claim_port(kind: socket.SocketKind = socket.SOCK_STREAM) -> int:
    """A port to listen on, which neither other tests on this machine nor the kernel give to anybody else."""
    lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    for port in random.sample(range(lowest - 10_000, lowest), 1000):
        claim = socket.socket(socket.AF_UNIX)
        try:
            claim.bind(f"\0minikubelet-tests-{port}")
            with socket.socket(socket.AF_INET, kind) as probe:
                probe.bind(("127.0.0.1", port))
        except OSError:
            claim.close()
        else:
            _claims.append(claim)
            return port
    raise AssertionError("no port is free")


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as sock:
            sock.bind(("::1", 0))
            return True
    except OSError:
        return False


def server_tls(directory: Path) -> ssl.SSLContext:
    """With a self-signed certificate for `localhost`, made for these tests and good for nothing else."""
    pem = directory / "server.pem"
    pem.write_text(_KEY_AND_CERTIFICATE)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    return context


_KEY_AND_CERTIFICATE = """\
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQglBZ4evQAVqyxjJ0P
H0p9T1O8iVTjTK20jmttyYV+0lqhRANCAAQTMhT86ecMeFLr7frC7XcjRU0kF9K3
XPnZ2bEjKHcsAjA1sbD+ddJycrB59qbDuuz169BOYXl9GgqM9yqlVEsP
-----END PRIVATE KEY-----
-----BEGIN CERTIFICATE-----
MIIBfjCCASWgAwIBAgIUA0ULODZLqizMLXvW2lq/vFIxHmIwCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJbG9jYWxob3N0MCAXDTI2MTEyMTIyMjAzNFoYDzIxMjYxMDI4
MjIyMDM0WjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAAQTMhT86ecMeFLr7frC7XcjRU0kF9K3XPnZ2bEjKHcsAjA1sbD+ddJy
crB59qbDuuz169BOYXl9GgqM9yqlVEsPo1MwUTAdBgNVHQ4EFgQU0gbR6W5q/ubT
v+KstPPiyNLxf4AwHwYDVR0jBBgwFoAU0gbR6W5q/ubTv+KstPPiyNLxf4AwDwYD
VR0TAQH/BAUwAwEB/zAKBggqhkjOPQQDAgNHADBEAiAzVJMBYjUsyyh+OZO+VogF
hD8IdET655b9I2qwwzobDgIgYrK2gw/jLyxIXFx4nivt+OYpG9eD/9k2W2TdnbB2
ZqM=
-----END CERTIFICATE-----
"""
