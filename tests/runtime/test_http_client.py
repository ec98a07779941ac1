"""One GET, against servers of all manners. The handlers' own rules are in test_handlers.py."""

import socket
import struct
from pathlib import Path

import h11
import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from loopback import (
    Answers,
    Endless,
    Silent,
    claim_port,
    closes_its_sockets,
    free_port,
    has_ipv6,
    ok,
    open_sockets,
    run,
    server_tls,
    serving,
    status,
)

from minikubelet.runtime import http_client
from minikubelet.runtime.http_client import (
    MAX_BODY_BYTES,
    DialError,
    PlainHTTPError,
    RequestError,
    Response,
    dial,
    format_url,
    get,
)


async def error_of(url: str, timeout_seconds: float = 10) -> str:
    """The text of the error which getting `url` ends in, the URL taken off."""
    with pytest.raises(RequestError) as caught:
        await get(url, (), timeout_seconds=timeout_seconds)
    prefix = f'Get "{url}": '
    assert str(caught.value).startswith(prefix)
    return str(caught.value).removeprefix(prefix)


async def error_from(*answers: bytes) -> str:
    async with serving(Answers(*answers)) as port:
        return await error_of(f"http://127.0.0.1:{port}/")


async def response_from(*answers: bytes) -> Response:
    async with serving(Answers(*answers)) as port:
        return await get(f"http://127.0.0.1:{port}/", (), timeout_seconds=10)


# ------------------------------------------------------------------ answers


def test_PROBE_23_the_status_and_the_body_of_an_answer_are_returned():
    """Content-Length delimits the body; what follows it is not read."""
    response = run(lambda: response_from(status(418, b"short and stout") + b"garbage"))

    assert response == Response(418, "", b"short and stout", None)


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n", b"abc"),
        (b"HTTP/1.0 200 OK\r\n\r\nuntil the end", b"until the end"),
        (b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok", b"ok"),
        (b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok", b"ok"),
        (b"HTTP/1.1 204 No Content\r\nContent-Length: 7\r\n\r\n", b""),
        (
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + ok(b"final"),
            b"final",
        ),
    ],
)
def test_PROBE_23_every_way_to_end_a_body_or_begin_an_answer_is_understood(answer: bytes, body: bytes):
    """Chunked, by close, bare line feeds, no reason phrase, no body at all, interim responses first."""
    response = run(lambda: response_from(answer))

    assert (response.body, response.body_error) == (body, None)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"", "EOF"),
        (b"HTTP/1.1 200 OK\r\nContent-", "unexpected EOF"),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "malformed HTTP response: illegal status line"),
        (b"HTTP/1.1 abc OK\r\n\r\n", "malformed HTTP response: illegal status line"),
        (
            b"HTTP/1.1 200 OK\r\nA line without a colon\r\n\r\n",
            "malformed HTTP response: illegal header line",
        ),
        (b"HTTP/1.1 099 Too low\r\n\r\n", "malformed HTTP response"),
        (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", "malformed HTTP response"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", "malformed HTTP response"),
    ],
)
def test_PROBE_23_what_is_no_answer_is_an_error(answer: bytes, error: str):
    """Nothing, half a head, another protocol, a broken head."""
    assert run(lambda: error_from(answer)).startswith(error)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort", "unexpected EOF"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n", "unexpected EOF"),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
            "malformed body: illegal chunk header",
        ),
    ],
)
def test_PROBE_23_a_body_that_breaks_off_leaves_the_status_known(answer: bytes, error: str):
    """The caller decides what that is worth."""
    response = run(lambda: response_from(answer))

    assert response.status == 200
    assert response.body_error is not None
    assert response.body_error.startswith(error)


def test_PROBE_23_a_connection_reset_is_an_error():
    """SO_LINGER 0 makes the server's close a reset."""

    async def reset(stream: trio.SocketStream) -> None:
        await stream.receive_some()
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    async def test() -> str:
        async with serving(reset) as port:
            return await error_of(f"http://127.0.0.1:{port}/")

    assert run(test) == "read: connection reset by peer"


_PIECES = st.sampled_from(
    [
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/1.1 302 Found\r\n",
        b"Location: /\r\n",
        b"Location: http://[::1\r\n",
        b"Content-Length: 5\r\n",
        b"Content-Length: -1\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Connection: upgrade\r\nUpgrade: h2c\r\n",
        b"5\r\nhello\r\n",
        b"ffffffffffffffffffff\r\n",
        b"0\r\n\r\n",
        b"\r\n",
        b"\n",
        b"\xff\x00\x80",
        b" folded\r\n",
    ]
)


@settings(deadline=None, max_examples=150)
@given(answer=st.one_of(st.binary(max_size=200), st.lists(_PIECES | st.binary(max_size=6)).map(b"".join)))
def test_PROBE_20_any_bytes_at_all_end_in_a_response_or_a_request_error(answer: bytes):
    """Property: nothing a server says raises anything else, or takes for ever."""

    async def test() -> Response | RequestError:
        async with serving(Answers(answer)) as port:
            try:
                return await get(f"http://127.0.0.1:{port}/", (), timeout_seconds=10)
            except RequestError as error:
                return error

    result = run(test)

    assert "deadline exceeded" not in str(result)


# ------------------------------------------------------------------ limits


def test_PROBE_24_an_endless_body_is_read_up_to_ten_kibibytes_and_cut_off():
    """It counts as whole, and the server notices that nobody listens any more."""

    async def test() -> Response:
        server = Endless(b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 1000)
        async with serving(server) as port:
            response = await get(f"http://127.0.0.1:{port}/", ())
            await server.cut_off.wait()
            return response

    assert run(test) == Response(200, "", b"x" * MAX_BODY_BYTES, None)


def test_PROBE_24_ten_kibibytes_are_not_waited_beyond():
    """A server that stalls after them has answered."""

    async def test() -> Response:
        head = b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n"
        async with serving(Silent(head + b"x" * MAX_BODY_BYTES)) as port:
            return await get(f"http://127.0.0.1:{port}/", ())

    assert run(test).body_error is None


@pytest.mark.parametrize(
    ("start", "piece"),
    [
        (b"HTTP/1.1 200 OK\r\n", b"X-Filler: " + b"x" * 1000 + b"\r\n"),
        (b"HTTP/1.1 200 OK\r\nX-Long: ", b"x" * 1000),
        (b"", b"x" * 1000),
        (b"", b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\n"),
    ],
    ids=["many headers", "one long header", "no line end", "interim responses"],
)
def test_PROBE_24_an_endless_head_is_given_up(start: bytes, piece: bytes):
    """After 64 KiB, however it is dressed, and without any timeout (as in a hook)."""

    async def test() -> str:
        server = Endless(start, piece)
        async with serving(server) as port:
            with pytest.raises(RequestError) as caught:
                await get(f"http://127.0.0.1:{port}/", ())
            await server.cut_off.wait()
            return str(caught.value)

    assert "headers exceeded 65536 bytes" in run(test)


def test_PROBE_24_an_endless_chunked_body_of_next_to_nothing_is_cut_off():
    """Huge chunk extensions around one byte each do not get round the limit."""

    async def test() -> Response:
        start = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        server = Endless(start, b"1;" + b"e" * 5000 + b"\r\nx\r\n")
        async with serving(server) as port:
            response = await get(f"http://127.0.0.1:{port}/", ())
            await server.cut_off.wait()
            return response

    response = run(test)

    assert response.body_error is None
    assert 0 < len(response.body) < 50


def test_PROBE_20_a_head_that_drips_runs_into_the_timeout():
    """The timeout is for the whole, not for the next byte."""

    async def drip(stream: trio.SocketStream) -> None:
        for byte in b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 1000:
            await stream.send_all(bytes([byte]))
            await trio.sleep(0.01)

    async def test() -> str:
        async with serving(drip) as port:
            return await error_of(f"http://127.0.0.1:{port}/", timeout_seconds=0.2)

    assert run(test) == "context deadline exceeded (Client.Timeout exceeded while awaiting headers)"


def test_PROBE_20_a_server_that_says_nothing_runs_into_the_timeout():
    """And finds the connection closed."""

    async def test() -> str:
        server = Silent()
        async with serving(server) as port:
            error = await error_of(f"http://127.0.0.1:{port}/", timeout_seconds=0.2)
            await server.left.wait()
            return error

    assert run(test) == "context deadline exceeded (Client.Timeout exceeded while awaiting headers)"


def test_PROBE_20_a_body_that_stalls_runs_into_the_timeout():
    """The status is known, so this is no `RequestError`."""

    async def test() -> Response:
        server = Silent(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort")
        async with serving(server) as port:
            response = await get(f"http://127.0.0.1:{port}/", (), timeout_seconds=0.2)
            await server.left.wait()
            return response

    error = "context deadline exceeded (Client.Timeout or context cancellation while reading body)"
    assert run(test) == Response(200, "", b"short", error)


@closes_its_sockets
def test_PROBE_24_no_socket_is_left_open_by_whatever_happens():
    """Refused, garbage, cut off, broken off, timed out, cancelled: a hundred times."""

    async def test() -> None:
        endless = Endless(b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 1000)
        async with (
            serving(Answers(b"garbage\r\n\r\n")) as garbage,
            serving(Answers(ok(b"")[:-1])) as broken,
            serving(Silent()) as silent,
            serving(endless) as body,
        ):
            ports = (free_port(), garbage, broken, silent, body)

            async def one(url: str) -> None:
                try:
                    await get(url, (), timeout_seconds=0.2)
                except RequestError:
                    pass

            before = open_sockets()
            for _ in range(10):
                async with trio.open_nursery() as nursery:
                    for port in ports:
                        nursery.start_soon(one, f"http://127.0.0.1:{port}/")
                        nursery.start_soon(one, f"https://127.0.0.1:{port}/")
                with trio.move_on_after(0.02) as scope:
                    await get(f"http://127.0.0.1:{silent}/", ())
                assert scope.cancelled_caught
            while open_sockets() != before:  # the servers' ends, which close in their own time
                await trio.sleep(0.01)

    run(test)


# ------------------------------------------------------------------ redirects


def redirect(location: str, code: int = 302) -> bytes:
    return status(code, b"", b"Location: " + location.encode())


async def followed(*answers: bytes, headers: http_client.Headers = ()) -> tuple[Response, list[str]]:
    """The response in the end, and the request lines it took."""
    server = Answers(*answers)
    async with serving(server) as port:
        response = await get(f"http://127.0.0.1:{port}/a/b", headers, timeout_seconds=10)
    return response, [request.split("\r\n")[0].removesuffix(" HTTP/1.1") for request in server.requests]


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_PROBE_24_redirects_on_the_same_host_are_followed(code: int):
    """All five kinds, with GET."""
    response, requests = run(lambda: followed(redirect("/there?x=1#part", code), ok(b"there")))

    assert response.body == b"there"
    assert requests == ["GET /a/b", "GET /there?x=1"]


@pytest.mark.parametrize(
    ("location", "request_line"),
    [
        ("c", "GET /a/c"),
        ("?q", "GET /a/b?q"),
        ("/with space", "GET /with%20space"),
        ("/ünïcode", "GET /%C3%BCn%C3%AFcode"),
    ],
)
def test_PROBE_24_a_location_is_resolved_and_made_fit_for_a_request_line(location: str, request_line: str):
    """Relative to the URL asked; what may not stand there is percent-encoded."""
    _, requests = run(lambda: followed(redirect(location), ok()))

    assert requests[1] == request_line


@pytest.mark.parametrize("location", ["http://127.0.0.2/", "//localhost/", "https://example.invalid/x"])
def test_PROBE_24_a_redirect_to_another_host_is_returned_as_it_is(location: str):
    """Even if that host is this one by another name."""
    response, requests = run(lambda: followed(redirect(location), ok()))

    assert (response.status, response.location) == (302, location)
    assert len(requests) == 1


@pytest.mark.parametrize("code", [300, 304, 305])
def test_PROBE_24_other_statuses_of_the_third_hundred_are_no_redirects(code: int):
    """Nor is one without a Location."""
    response, requests = run(lambda: followed(redirect("/there", code), ok()))

    assert response.status == code
    assert len(requests) == 1


def test_PROBE_24_a_redirect_without_location_is_returned():
    """As seen in the wild."""
    assert run(lambda: response_from(status(302), ok())).status == 302


def test_PROBE_24_a_redirect_loop_ends_with_the_tenth_redirect():
    """Ten requests, then the words of Go's client."""

    async def test() -> tuple[str, int]:
        server = Answers(redirect("/loop"))
        async with serving(server) as port:
            error = await error_of(f"http://127.0.0.1:{port}/loop")
        return error, len(server.requests)

    assert run(test) == ("stopped after 10 redirects", 10)


@pytest.mark.parametrize(
    ("location", "error"),
    [
        ("ftp://127.0.0.1/", 'unsupported protocol scheme "ftp"'),
        ("http://127.0.0.1:70000/", "Port out of range"),
        ("http://[::1/", "failed to parse Location header"),
    ],
)
def test_PROBE_24_a_redirect_to_nowhere_is_an_error(location: str, error: str):
    """It never raises anything but a `RequestError`."""

    async def test() -> str:
        async with serving(Answers(redirect(location))) as port:
            with pytest.raises(RequestError) as caught:
                await get(f"http://127.0.0.1:{port}/", (), timeout_seconds=10)
            return str(caught.value)

    assert error in run(test)


def test_PROBE_25_a_host_header_survives_a_relative_redirect_only():
    """As in Go: an absolute Location names its host itself."""

    async def test() -> list[str]:
        server = Answers(redirect("/relative"), redirect("http://127.0.0.1:PORT/absolute"), ok())
        async with serving(server) as port:
            server.answers[1] = server.answers[1].replace(b"PORT", b"%d" % port)
            await get(f"http://127.0.0.1:{port}/", [("Host", "virtual.example")], timeout_seconds=10)
            hosts = [request.split("\r\n")[1] for request in server.requests]
        return [host.replace(str(port), "PORT") for host in hosts]

    assert run(test) == ["Host: virtual.example", "Host: virtual.example", "Host: 127.0.0.1:PORT"]


# ------------------------------------------------------------------ requests


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("", "/"),
        ("/", "/"),
        ("healthz", "/healthz"),
        ("/healthz?verbose&x=a/b?c", "/healthz?verbose&x=a/b?c"),
        ("?only=query", "/?only=query"),
        ("/a#fragment", "/a"),
        ("/a%2Fb", "/a%2Fb"),
        ("/a b(c)", "/a%20b(c)"),
        ("/100%", "/100%25"),
        ("/100%?x=1", "/100%25%3Fx=1"),
        ("/x?y=100%", "/x?y=100%"),
        ("/a\r\nX-Injected: 1", "/a%0D%0AX-Injected:%201"),
        ("/a?b\nc", "/a%3Fb%0Ac"),
        ("/x?a b", "/x?a%20b"),
        ("/ü?ü", "/%C3%BC?%C3%BC"),
        ("//host/path", "/path"),
        ("http://host:1/path?q", "/path?q"),
        ("///three", "///three"),
    ],
)
def test_PROBE_25_a_path_becomes_a_url_as_the_kubelet_makes_it(path: str, expected: str):
    """Query strings and escapes are kept, what Go's `url.Parse` refuses is escaped as a path in whole."""
    assert format_url("HTTP", "127.0.0.1", 80, path) == f"http://127.0.0.1:80{expected}"


@given(path=st.text(), value=st.text())
def test_PROBE_25_no_path_or_header_value_breaks_out_of_its_line(path: str, value: str):
    """Property: what is sent parses as the one request that was meant, or nothing is sent."""
    url = format_url("HTTP", "127.0.0.1", 80, path)
    client, server = h11.Connection(h11.CLIENT), h11.Connection(h11.SERVER)
    try:
        sent = client.send(http_client._request(url, (("X-Value", value),)).head) or b""
    except h11.LocalProtocolError:
        assert set(value) & set("\r\n\0\v\f") or value != value.strip()
        return
    server.receive_data(sent)
    request = server.next_event()

    assert isinstance(request, h11.Request)
    assert request.target.startswith(b"/")
    assert [name for name, _ in request.headers] == [b"host", b"x-value"]
    assert isinstance(server.next_event(), h11.EndOfMessage)


@pytest.mark.parametrize(
    "header", [("X-A", "1\r\nX-B: 2"), ("X-A", "1\n"), ("X A", "1"), ("X-A\r\nX-B", "1"), ("", "1")]
)
def test_PROBE_25_a_header_that_would_break_the_request_is_not_sent(header: tuple[str, str]):
    """The error says so, and the server is not even connected to."""
    with pytest.raises(RequestError, match="invalid request: Illegal header"):
        run(lambda: get("http://127.0.0.1:1/", [header]))


@pytest.mark.parametrize("host", ["", "a b", "a/b", "a@b", "a\r\nb", "[::1]", "a:b", "höst"])
def test_PROBE_26_a_host_that_no_url_can_hold_is_refused(host: str):
    """Before anything is connected to."""
    with pytest.raises(ValueError, match=r"."):
        format_url("http", host, 80, "/")


# ------------------------------------------------------------------ connections


def test_PROBE_20_a_refused_connection_is_told_in_gos_words():
    """With the address, so that the mistake can be seen."""
    port = free_port()
    error = run(lambda: error_of(f"http://127.0.0.1:{port}/"))

    assert error == f"dial tcp 127.0.0.1:{port}: connect: connection refused"


def test_PROBE_20_a_name_that_cannot_exist_is_told_in_gos_words():
    """An empty label: refused before any name server is asked."""
    assert run(lambda: error_of("http://a..b:80/")) == "dial tcp: lookup a..b: no such host"


def test_PROBE_26_a_host_may_be_a_name():
    """`localhost`, whichever of its addresses answers."""

    async def test() -> Response:
        async with serving(Answers(ok())) as port:
            return await get(f"http://localhost:{port}/", (), timeout_seconds=10)

    assert run(test).status == 200


def test_PROBE_26_a_host_may_be_an_ipv6_address(require):
    """Bracketed in the URL and in the Host header."""
    require(has_ipv6(), "IPv6 on loopback")

    async def test() -> str:
        server = Answers(ok())
        async with serving(server, host="::1") as port:
            await get(format_url("http", "::1", port, "/"), (), timeout_seconds=10)
            return server.requests[0].replace(str(port), "PORT")

    assert "\r\nHost: [::1]:PORT\r\n" in run(test)


def test_PROBE_27_a_socket_connected_to_itself_is_a_refused_connection(monkeypatch):
    """Linux may give a client the very port it connects to, if nobody listens there."""

    class Narcissus(socket.socket):
        def connect_ex(self, address):
            if self.getsockname()[1] == 0:
                self.bind(address)
            return super().connect_ex(address)

    port = claim_port()
    monkeypatch.setattr(http_client.socket, "socket", Narcissus)
    with pytest.raises(DialError, match="connection refused"):
        run(lambda: dial("127.0.0.1", port))


def test_PROBE_24_certificates_are_not_verified(tmp_path: Path):
    """A self-signed one for another name will do."""

    async def test() -> Response:
        async with serving(Answers(ok(b"secret")), tls=server_tls(tmp_path)) as port:
            return await get(f"https://127.0.0.1:{port}/", (), timeout_seconds=10)

    assert run(test).body == b"secret"


def test_PROBE_24_a_redirect_may_lead_to_https_on_the_same_host(tmp_path: Path):
    """As with the kubelet, the port may differ."""

    async def test() -> Response:
        async with (
            serving(Answers(ok(b"secret")), tls=server_tls(tmp_path)) as secure,
            serving(Answers(redirect(f"https://127.0.0.1:{secure}/"))) as plain,
        ):
            return await get(f"http://127.0.0.1:{plain}/", (), timeout_seconds=10)

    assert run(test).body == b"secret"


def test_HOOK_9_a_plain_answer_to_https_is_told_apart():
    """That is what the fallback of hooks hangs on."""

    async def answer_anything(stream: trio.SocketStream) -> None:
        await stream.receive_some()
        await stream.send_all(status(400, b"Client sent an HTTP request to an HTTPS server."))

    async def test() -> None:
        async with serving(answer_anything) as port:
            with pytest.raises(PlainHTTPError, match="http: server gave HTTP response to HTTPS client"):
                await get(f"https://127.0.0.1:{port}/", (), timeout_seconds=10)

    run(test)


@pytest.mark.parametrize("garbage", [b"SSH-2.0-OpenSSH_9.2\r\n", b"\x16\x03\x03\xff\xff" + b"x" * 99, b""])
def test_PROBE_20_garbage_instead_of_tls_is_an_error(garbage: bytes):
    """Another protocol, a broken record, nothing."""

    async def answer(stream: trio.SocketStream) -> None:
        await stream.receive_some()
        await stream.send_all(garbage)

    async def test() -> str:
        async with serving(answer) as port:
            return await error_of(f"https://127.0.0.1:{port}/")

    assert run(test).startswith("tls: ")
