"""One GET over HTTP/1.1, the way the kubelet's probe client makes it, and nothing else.

A fresh connection for every request, no proxy, no cookies, no compression, certificates unverified,
at most 10 KiB of the body. It knows nothing of probes: what a status means is the caller's affair.
The one idea: whatever the server does ends in a `Response` or a `RequestError`, in bounded time and
memory, with the socket closed. Error texts are those of Go's net/http, which operators know by heart;
the local port is left out, so that equal failures read equal (EVENT-7).

HTTP/2 is not offered to HTTPS servers, unlike in the kubelet: those that insist on it fail.
"""

import errno
import functools
import math
import os
import re
import socket
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote, urljoin, urlsplit

import h11
import trio

from minikubelet.api.values import frozen
from minikubelet.runtime.spawn import SHORTAGES, ShortageError

if TYPE_CHECKING:
    import ssl

MAX_BODY_BYTES = 10 * 1024
"PROBE-24."

MAX_REQUESTS = 10
"PROBE-24: Go gives up when a tenth redirect comes, so there are at most this many requests."

MAX_HEAD_BYTES = 64 * 1024
"Status line and headers, interim responses included."

MOST_REQUESTS = 1024
"Are kept ready, a KiB each: a probe asks the same each time."

_MAX_RESPONSE_BYTES = 2 * MAX_HEAD_BYTES
_MAX_WIRE_BYTES = 256 * 1024
_READ_BYTES = 16 * 1024

Headers = Sequence[tuple[str, str]]

new_socket: ContextVar[Callable[[int, int], socket.socket]] = ContextVar("new_socket", default=socket.socket)
"""Makes the sockets of a task: the network that one is made in is the one that it reaches."""


class DialError(Exception):
    """No TCP connection came about."""


class RequestError(Exception):
    """No response came about; the text is a sentence for the user."""


class PlainHTTPError(RequestError):
    """An HTTPS request was answered in plain HTTP (HOOK-9)."""


@frozen
class Response:
    status: int
    location: str
    "The Location header as it came, empty without one."
    body: bytes
    "Its first `MAX_BODY_BYTES` at most."
    body_error: str | None
    "Why the body ended before its time; None if it was complete or longer than we care to read."


async def get(url: str, headers: Headers, *, timeout_seconds: float = math.inf) -> Response:
    """GET `url`, following redirects while they stay on its host (PROBE-24).

    `url` is absolute, and made of printable ASCII (see `format_url`). `headers` go out as they are, after
    a Host of the URL's unless they hold one. `timeout_seconds` is for everything together. A redirect
    which is not followed is returned like any response. Raises `RequestError`.
    """
    deadline = trio.current_time() + timeout_seconds
    for _ in range(MAX_REQUESTS):
        response = await _exchange(url, headers, deadline)
        if response.status not in (301, 302, 303, 307, 308) or not response.location:
            return response
        location = _printable(response.location)
        try:
            target = urljoin(url, location)
            if urlsplit(target).hostname != urlsplit(url).hostname:
                return response
        except ValueError as error:
            raise RequestError(f'Get "{url}": failed to parse Location header: {error}') from error
        if urlsplit(location).scheme:  # as in Go, the caller's Host survives relative redirects only
            headers = [(name, value) for name, value in headers if name.lower() != "host"]
        url = target
    raise RequestError(f'Get "{url}": stopped after {MAX_REQUESTS} redirects')


async def _exchange(url: str, headers: Headers, deadline: float) -> Response:
    head: h11.Response | None = None
    body = bytearray()
    body_error = None
    with trio.move_on_at(deadline) as scope:
        try:
            request = _request(url, tuple(headers))
            with await dial(request.host, request.port) as connection:
                stream: trio.abc.Stream = connection
                if request.is_secure:
                    stream = await _secure(connection, request.host)
                reader = _Reader(stream)
                await stream.send_all(reader.http.send(request.head) + reader.http.send(h11.EndOfMessage()))
                head = await reader.read_head()
                body_error = await reader.read_body(body)
        except PlainHTTPError as error:
            raise PlainHTTPError(f'Get "{url}": {error}') from error
        except (DialError, RequestError, ValueError) as error:
            raise RequestError(f'Get "{url}": {error}') from error
        except h11.LocalProtocolError as error:  # nothing was sent: a header would have broken the request
            raise RequestError(f'Get "{url}": net/http: invalid request: {error}') from error
        except (OSError, trio.BrokenResourceError) as error:
            raise RequestError(f'Get "{url}": {_broken(error)}') from error
    if head is None:
        reason = "context deadline exceeded (Client.Timeout exceeded while awaiting headers)"
        raise RequestError(f'Get "{url}": {reason}')
    if scope.cancelled_caught:
        body_error = "context deadline exceeded (Client.Timeout or context cancellation while reading body)"
    location = dict(head.headers).get(b"location", b"").decode("utf-8", "replace")
    return Response(head.status_code, location, bytes(body), body_error)


class _Request(NamedTuple):
    """What is asked, and of whom."""

    is_secure: bool
    host: str
    port: int
    head: h11.Request


@functools.lru_cache(MOST_REQUESTS)
def _request(url: str, headers: tuple[tuple[str, str], ...]) -> _Request:
    """Raises `h11.LocalProtocolError` if anything in it would break the request apart, `RequestError` for
    another scheme, ValueError for what is no port."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https"):
        raise RequestError(f'unsupported protocol scheme "{parts.scheme}"')
    is_secure = parts.scheme == "https"
    if not any(name.lower() == "host" for name, _ in headers):
        headers = (("Host", parts.netloc.rpartition("@")[2]), *headers)
    fields = [(n.encode("utf-8", "replace"), v.strip(" \t").encode("utf-8", "replace")) for n, v in headers]
    target = (parts.path or "/") + ("?" + parts.query if parts.query else "")
    head = h11.Request(method=b"GET", target=target.encode("ascii"), headers=fields)
    return _Request(is_secure, parts.hostname or "", parts.port or (443 if is_secure else 80), head)


class _Reader:
    """The response side of one exchange: h11 fed from a stream, every byte counted."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self.http = h11.Connection(h11.CLIENT, max_incomplete_event_size=_MAX_RESPONSE_BYTES)
        self._stream = stream
        self._received = 0

    async def read_head(self) -> h11.Response:
        """Raises `RequestError`, and what the stream raises."""
        while self._received < MAX_HEAD_BYTES:
            if not await self._feed():
                raise RequestError("unexpected EOF" if self._received else "EOF")
            try:
                while (event := self.http.next_event()) is not h11.NEED_DATA:
                    if isinstance(event, h11.Response):
                        return event
                    if event is h11.PAUSED:
                        raise RequestError(
                            "malformed HTTP response: switching protocols, which nobody asked for"
                        )
            except h11.RemoteProtocolError as error:
                raise RequestError(f"malformed HTTP response: {str(error)[:200]}") from error
        raise RequestError(f"server response headers exceeded {MAX_HEAD_BYTES} bytes; aborted")

    async def read_body(self, body: bytearray) -> str | None:
        """Fill `body` up to the limit. The error text if it broke off, which is no reason to raise:
        what the status says is known by now."""
        try:
            while len(body) < MAX_BODY_BYTES and self._received < _MAX_RESPONSE_BYTES:
                event = self.http.next_event()
                if isinstance(event, h11.Data):
                    body += event.data[: MAX_BODY_BYTES - len(body)]
                elif event is h11.NEED_DATA:
                    await self._feed()
                else:
                    break
        except h11.RemoteProtocolError as error:
            return "unexpected EOF" if self.http.trailing_data[1] else f"malformed body: {str(error)[:200]}"
        except (OSError, trio.BrokenResourceError) as error:
            return _broken(error)
        return None

    async def _feed(self) -> bool:
        data = await self._stream.receive_some(_READ_BYTES)
        self._received += len(data)
        self.http.receive_data(bytes(data))
        return bool(data)


def _broken(error: Exception) -> str:
    """A connection that broke off, in Go's words where it has some."""
    if isinstance(error, OSError) and error.errno:
        return f"read: {os.strerror(error.errno).lower()}"
    reason = getattr(
        error.__cause__, "reason", None
    )  # of an `ssl.SSLError`: WRONG_VERSION_NUMBER and the like
    return f"tls: {reason.lower().replace('_', ' ')}" if reason else f"tls: {error.__cause__ or error}"


# ------------------------------------------------------------------ URLs


_PRINTABLE = "".join(map(chr, range(0x21, 0x7F)))
_IN_PATH = "/!$&'()*+,;=:@[]~"
_HOST = re.compile(r"[A-Za-z0-9._~%!$&'()*+,;=:-]+")
_AUTHORITY = re.compile(r"^(?:[a-zA-Z][a-zA-Z0-9+.-]*:)?//(?!/)[^/?]*")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_BAD_ESCAPE = re.compile(r"%(?![0-9a-fA-F]{2})")


@functools.lru_cache(MOST_REQUESTS)
def format_url(scheme: str, host: str, port: int, path: str) -> str:
    """The URL the kubelet would ask (PROBE-25). Raises `ValueError` for a host that no URL can hold.

    `path` may hold a query and lack its leading slash; a fragment is dropped, and so is a host in it
    (`//other/path`), both as by Go's `url.Parse`. A path which that refuses is taken as a path in whole,
    question marks included. Whatever may not stand in a request line is percent-encoded.
    """
    if not _HOST.fullmatch(host):
        raise ValueError(f"invalid host {host!r}")
    only_path, mark, query = _AUTHORITY.sub("", path.partition("#")[0]).partition("?")
    if _CONTROL.search(path) or _BAD_ESCAPE.search(only_path):
        only_path, mark, query, safe = path, "", "", _IN_PATH
    else:
        safe = _IN_PATH + "%"
    escaped = quote(only_path.removeprefix("/"), safe=safe, errors="replace")
    url = f"{scheme.lower()}://{join_host_port(host, port)}/{escaped}{mark}{_printable(query)}"
    urlsplit(url)
    return url


def _printable(text: str) -> str:
    return quote(text, safe=_PRINTABLE, errors="replace")


def join_host_port(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


# ------------------------------------------------------------------ connections


class Connection(trio.abc.Stream):
    """A connected TCP socket, closed when its `with` block is left.

    It ends after `_MAX_WIRE_BYTES`: TLS has messages of its own, which no limit on what they carry counts.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self.first_bytes = b""
        "The first five that came: a TLS record's header, or `HTTP/`."
        self._received = 0

    def __enter__(self) -> "Connection":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._sock.close()

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        view = memoryview(data)
        while view:
            try:
                view = view[self._sock.send(view) :]
            except BlockingIOError:
                await trio.lowlevel.wait_writable(self._sock)

    async def wait_send_all_might_not_block(self) -> None:
        await trio.lowlevel.wait_writable(self._sock)

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        while True:
            await trio.lowlevel.wait_readable(self._sock)
            try:
                data = self._sock.recv(max_bytes or _READ_BYTES)
            except BlockingIOError:
                continue
            if len(self.first_bytes) < 5:
                self.first_bytes += data[:5]
            self._received += len(data)
            return data if self._received <= _MAX_WIRE_BYTES else b""

    async def aclose(self) -> None:
        self._sock.close()
        await trio.lowlevel.checkpoint()


async def dial(host: str, port: int) -> Connection:
    """Connect to the first address of `host` that answers. Raises `DialError`, and `ShortageError` when we
    have no descriptor or thread to ask with, so that nothing was learned about the host.

    An IP address costs no thread; names are looked up in one, by trio.
    """
    first_error: DialError | None = None
    for family, address in await _addresses(host, port):
        try:
            return Connection(await _connect(family, address))
        except OSError as error:
            where = f"dial tcp {join_host_port(address[0], port)}"
            reason = os.strerror(error.errno).lower() if error.errno else str(error)
            first_error = first_error or DialError(f"{where}: connect: {reason}")
    raise first_error or DialError(f"dial tcp: lookup {host}: no such host")


async def _addresses(host: str, port: int) -> list[tuple[int, Any]]:
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, host)
        except OSError:
            continue
        return [(family, (host, port))]
    try:
        found = await trio.socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except UnicodeError as error:  # not a name that DNS could hold
        raise DialError(f"dial tcp: lookup {host}: no such host") from error
    except RuntimeError as error:  # no thread for it
        raise ShortageError(f"lookup {host}: {error}") from error
    except OSError as error:
        unknown = error.errno in (socket.EAI_NONAME, socket.EAI_NODATA)
        reason = "no such host" if unknown else error.strerror
        raise DialError(f"dial tcp: lookup {host}: {reason}") from error
    return [(family, address) for family, _, _, _, address in found]


async def _connect(family: int, address: Any) -> socket.socket:
    try:
        sock = new_socket.get()(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    except OSError as failed:
        if failed.errno in SHORTAGES:
            raise ShortageError(f"socket: {os.strerror(failed.errno).lower()}") from failed
        raise
    try:
        error = sock.connect_ex(address)
        # Over loopback the answer is there by now; asking again is cheaper than a turn of the event loop.
        if error == errno.EINPROGRESS and (error := sock.connect_ex(address)) == errno.EALREADY:
            await trio.lowlevel.wait_writable(sock)
            error = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        # A dead port in the ephemeral range may be given to this very socket, which then connects to itself.
        if not error and sock.getsockname() == sock.getpeername():
            error = errno.ECONNREFUSED
        if error:
            raise OSError(error, os.strerror(error))
    except BaseException:
        sock.close()
        raise
    return sock


@functools.cache
def _tls_context() -> "ssl.SSLContext":
    """PROBE-24: whoever answers is good enough, as only the health of the pod's own server is asked."""
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


async def _secure(connection: Connection, hostname: str) -> "trio.SSLStream[Connection]":
    stream = trio.SSLStream(connection, _tls_context(), server_hostname=hostname, https_compatible=True)
    try:
        await stream.do_handshake()
    except trio.BrokenResourceError as error:
        if connection.first_bytes.startswith(b"HTTP/"):
            raise PlainHTTPError("http: server gave HTTP response to HTTPS client") from error
        raise
    return stream
