"""The health check over gRPC, against a real server, hand-made ones, and servers that are no such thing."""

import importlib.util
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
import trio
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import RequestReceived, StreamEnded
from hpack import Encoder
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    Frame,
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    PushPromiseFrame,
    SettingsFrame,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from loopback import Answers, Endless, Silent, closes_its_sockets, free_port, ok, open_sockets, run, serving

from minikubelet.runtime.grpc_health import _CallError, check, decode_response, encode_request, frame

HEALTHY = b"\x08\x01"

MISSING = "needs grpcio-health-checking"


async def problem_at(port: int, service: str = "", timeout_seconds: float = 10) -> str | None:
    return await check(
        "127.0.0.1", port, service, timeout_seconds=timeout_seconds, user_agent="kube-probe/1.36"
    )


# ------------------------------------------------------------------ a real server


@contextmanager
def grpc_server(statuses: dict[str, str] | None) -> Iterator[int]:
    """grpcio's server on loopback, with its health service unless `statuses` is None; gives the port."""
    grpc = pytest.importorskip("grpc", reason=MISSING)
    health = pytest.importorskip("grpc_health.v1.health", reason=MISSING)
    from grpc_health.v1 import health_pb2, health_pb2_grpc

    with ThreadPoolExecutor(max_workers=2) as workers:
        server = grpc.server(workers)
        if statuses is not None:
            servicer = health.HealthServicer()
            for service, name in statuses.items():
                servicer.set(service, health_pb2.HealthCheckResponse.ServingStatus.Value(name))
            health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        try:
            yield port
        finally:
            server.stop(None).wait()


@pytest.mark.parametrize(
    ("service", "problem"),
    [
        ("", None),
        ("ready", None),
        ("down", 'service unhealthy (responded with "NOT_SERVING")'),
        ("vague", 'service unhealthy (responded with "UNKNOWN")'),
        ("other", "error: health rpc probe failed: rpc error: code = NotFound desc = "),
    ],
)
def test_PROBE_28_only_serving_is_healthy(service: str, problem: str | None):
    """As told by a real server, the empty service name standing for all of it."""
    statuses = {"": "SERVING", "ready": "SERVING", "down": "NOT_SERVING", "vague": "UNKNOWN"}
    with grpc_server(statuses) as port:
        assert run(lambda: problem_at(port, service)) == problem


def test_PROBE_28_a_server_without_the_health_service_is_a_failure():
    """Not an error: the kubelet counts it."""
    with grpc_server(None) as port:
        problem = run(lambda: problem_at(port))

    assert problem is not None
    assert problem.startswith(
        "error: this server does not implement the grpc health protocol (grpc.health.v1.Health): "
    )


# ------------------------------------------------------------------ messages


@given(service=st.text(alphabet=st.characters(codec="utf-8"), max_size=300))
def test_PROBE_28_requests_are_encoded_as_by_protobuf(service: str):
    """Property: byte for byte."""
    pb2 = pytest.importorskip("grpc_health.v1.health_pb2", reason=MISSING)

    assert encode_request(service) == pb2.HealthCheckRequest(service=service).SerializeToString()


@given(message=st.binary(max_size=30))
def test_PROBE_28_responses_are_decoded_as_by_protobuf(message: bytes):
    """Property: whatever protobuf understands we understand alike; the rest is an error of the call."""
    pb2 = pytest.importorskip("grpc_health.v1.health_pb2", reason=MISSING)
    from google.protobuf.message import DecodeError

    try:
        status: Any = pb2.HealthCheckResponse.FromString(message).status
    except DecodeError:
        status = None
    try:
        name = decode_response(message)
    except _CallError as error:
        assert error.code == "Internal"
        assert status is None or 3 in {byte & 7 for byte in message}  # groups, which nobody sends any more
        return
    if status is not None and (status == 1 or name == "SERVING"):
        assert (name == "SERVING") == (status == 1)


@pytest.mark.parametrize(
    ("message", "status"),
    [
        (b"", "UNKNOWN"),
        (b"\x08\x00", "UNKNOWN"),
        (b"\x08\x01", "SERVING"),
        (b"\x08\x02", "NOT_SERVING"),
        (b"\x08\x03", "SERVICE_UNKNOWN"),
        (b"\x08\x63", "99"),
        (b"\x08\x02\x08\x01", "SERVING"),
        (b"\x12\x03abc\x08\x01\x19" + b"x" * 8 + b"\x25" + b"x" * 4, "SERVING"),
    ],
)
def test_PROBE_28_the_status_is_found_among_other_fields(message: bytes, status: str):
    """Absent means UNKNOWN, the last one counts, unknown fields are skipped."""
    assert decode_response(message) == status


@pytest.mark.parametrize("message", [b"\x08", b"\x08\xff", b"\x12\x05abc", b"\x0b", b"\xff" * 11])
def test_PROBE_28_a_broken_message_is_an_error_of_the_call(message: bytes):
    """Cut short, a group, an endless number."""
    with pytest.raises(_CallError, match="unmarshal"):
        decode_response(message)


# ------------------------------------------------------------------ hand-made servers


class HandMade:
    """An HTTP/2 server which does to the one request whatever `answer` does with the connection."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.headers: dict[bytes, bytes] = {}

    async def __call__(self, stream: trio.SocketStream) -> None:
        http = H2Connection(H2Configuration(client_side=False, validate_outbound_headers=False))
        http.initiate_connection()
        await stream.send_all(http.data_to_send())
        while data := await stream.receive_some():
            for event in http.receive_data(data):
                if isinstance(event, RequestReceived):
                    self.headers = dict(event.headers)
                elif isinstance(event, StreamEnded):
                    self.answer(http)
            await stream.send_all(http.data_to_send())


def grpc_answer(body: bytes, **trailers: str) -> HandMade:
    """Headers, one frame of data, trailers (`_` for `-`); without trailers the data ends the stream."""

    def answer(http: H2Connection) -> None:
        http.send_headers(1, [(":status", "200"), ("content-type", "application/grpc")])
        http.send_data(1, body, end_stream=not trailers)
        if trailers:
            fields = [(name.replace("_", "-"), value) for name, value in trailers.items()]
            http.send_headers(1, fields, end_stream=True)

    return HandMade(answer)


def only_headers(**headers: str) -> HandMade:
    fields = [(":status", headers.pop("status", "200"))]
    fields += [(name.replace("_", "-"), value) for name, value in headers.items()]
    return HandMade(lambda http: http.send_headers(1, fields, end_stream=True))


def problem_from(handler: Any, timeout_seconds: float = 10) -> str | None:
    async def test() -> str | None:
        async with serving(handler) as port:
            return await problem_at(port, timeout_seconds=timeout_seconds)

    return run(test)


def test_PROBE_28_the_request_is_what_grpc_servers_expect():
    """Among it the kubelet's user agent."""
    server = grpc_answer(frame(HEALTHY), grpc_status="0")

    assert problem_from(server) is None
    assert server.headers.pop(b":authority").startswith(b"127.0.0.1:")
    assert server.headers == {
        b":method": b"POST",
        b":scheme": b"http",
        b":path": b"/grpc.health.v1.Health/Check",
        b"content-type": b"application/grpc",
        b"user-agent": b"kube-probe/1.36",
        b"te": b"trailers",
    }


_RPC = "error: health rpc probe failed: rpc error: code = "
_NOT_IMPLEMENTED = "error: this server does not implement the grpc health protocol (grpc.health.v1.Health): "


@pytest.mark.parametrize(
    ("server", "problem"),
    [
        (
            only_headers(content_type="application/grpc", grpc_status="12", grpc_message="no%20such"),
            "no such",
        ),
        (only_headers(status="404", content_type="text/plain"), _NOT_IMPLEMENTED + "unexpected HTTP status"),
        (only_headers(status="503"), _RPC + "Unavailable desc = unexpected HTTP status code received from"),
        (
            only_headers(content_type="text/html"),
            _RPC + "Unknown desc = unexpected HTTP status code received",
        ),
        (only_headers(grpc_status="14", grpc_message="draining"), _RPC + "Unavailable desc = draining"),
        (only_headers(grpc_status="4"), "timeout: health rpc did not complete within 10s"),
        (only_headers(grpc_status="99"), _RPC + "Unknown desc = "),
        (only_headers(grpc_status="pear"), _RPC + "Unknown desc = "),
        (only_headers(grpc_status="9" * 5000), _RPC + "Unknown desc = "),
        (
            grpc_answer(frame(HEALTHY)),
            _RPC + "Internal desc = server closed the stream without sending trailers",
        ),
        (grpc_answer(b"", grpc_status="0"), _RPC + "Internal desc = received no response message"),
        (
            grpc_answer(b"\0\0\0\0\x09\x08\x01", grpc_status="0"),
            _RPC + "Internal desc = received 2 bytes of a",
        ),
        (
            grpc_answer(b"\1\0\0\0\x02\x08\x01", grpc_status="0"),
            _RPC + "Internal desc = grpc: compressed flag",
        ),
        (grpc_answer(frame(b"\x08"), grpc_status="0"), _RPC + "Internal desc = grpc: failed to unmarshal"),
        (grpc_answer(frame(b"x" * 11000), grpc_status="0"), _RPC + "ResourceExhausted desc = grpc: received"),
        (
            HandMade(lambda http: http.reset_stream(1, 8)),
            _RPC + "Internal desc = stream terminated by RST_STREAM",
        ),
        (
            HandMade(lambda http: http.close_connection(11)),
            _RPC + "Unavailable desc = error reading from server",
        ),
    ],
)
def test_PROBE_28_every_other_ending_is_a_failure_with_a_reason(server: HandMade, problem: str):
    """Whatever the status, the framing or the connection comes to."""
    answer = problem_from(server)

    assert answer is not None
    assert problem in answer


@pytest.mark.parametrize(
    ("server", "problem"),
    [
        (Answers(ok()), "error reading server preface: got an HTTP/1.1 response"),
        (Answers(b""), "error reading from server: EOF"),
        (Endless(b"", b"\0\0\1\0\0\0\0\0\0x"), "connection error: "),
        (Endless(b"", b"SSH-2.0-OpenSSH_9.2\r\n"), "connection error: a frame of 5460808 bytes"),
        (Endless(b"", b"\0\0\x08\6\0\0\0\0\0" + b"x" * 8), "did not begin with its settings"),
    ],
)
def test_PROBE_28_a_server_of_another_protocol_is_not_connected_to(server: Any, problem: str):
    """gRPC counts a connection once HTTP/2 settings have come."""
    answer = problem_from(server)

    assert answer is not None
    assert answer.startswith('error: failed to connect service at "127.0.0.1:')
    assert problem in answer


def test_PROBE_28_a_refused_connection_is_a_failure():
    """Told at once, with its reason."""
    port = free_port()

    assert run(lambda: problem_at(port)) == (
        f'error: failed to connect service at "127.0.0.1:{port}": '
        f"dial tcp 127.0.0.1:{port}: connect: connection refused"
    )


def test_PROBE_28_a_server_that_never_speaks_is_a_connect_timeout():
    """In the kubelet's words, and the server sees the connection closed."""

    async def test() -> str | None:
        server = Silent()
        async with serving(server) as port:
            problem = await problem_at(port, timeout_seconds=0.2)
            await server.left.wait()
            return problem and problem.replace(str(port), "PORT")

    connect = 'failed to connect service "127.0.0.1:PORT" within 200ms'
    assert run(test) == f"timeout: {connect}: context deadline exceeded"


def test_PROBE_28_a_call_that_is_never_answered_is_a_timeout_of_the_call():
    """The settings came, the answer does not."""
    assert (
        problem_from(HandMade(lambda http: None), 0.2) == "timeout: health rpc did not complete within 200ms"
    )


@pytest.mark.parametrize(
    "endless",
    [
        pytest.param(b"\0\0\x08\6\1\0\0\0\0" + b"x" * 8, id="pings"),
        pytest.param(b"\0\0\x01\1\4\0\0\0\1\x88", id="headers"),
    ],
)
def test_PROBE_28_endless_frames_are_cut_off(endless: bytes):
    """After 128 KiB, well before a generous timeout; of headers that many come in frames of one byte."""
    answer = problem_from(Endless(b"\0\0\0\4\0\0\0\0\0", endless * 100))

    assert answer == _RPC + "ResourceExhausted desc = received more than 131072 bytes"


_FRAMES = st.builds(
    lambda kind, flags, stream, payload: (
        len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload
    ),
    st.integers(0, 12),
    st.integers(0, 255),
    st.sampled_from([0, 1, 2, 3]),
    st.binary(max_size=40),
)


@settings(deadline=None, max_examples=150)
@given(answer=st.one_of(st.binary(max_size=100), st.lists(_FRAMES, max_size=8).map(b"".join)))
def test_PROBE_28_any_bytes_at_all_end_in_an_answer(answer: bytes):
    """Property: no bytes raise, and none are healthy by chance. An HTTP/2 preface may come first."""

    async def respond(stream: trio.SocketStream) -> None:
        await stream.receive_some()
        await stream.send_all(b"\0\0\0\4\0\0\0\0\0" + answer)

    assert problem_from(respond) is not None


SETTINGS = SettingsFrame().serialize()
PACKED = Encoder().encode([(":status", "200"), ("content-type", "application/grpc"), ("grpc-status", "0")])
ANSWER = DataFrame(1, frame(HEALTHY), flags=["END_STREAM"]).serialize()


def says(*said: bytes | Frame) -> Silent:
    """A server that begins with its settings, whatever it is asked."""
    pieces = (piece.serialize() if isinstance(piece, Frame) else piece for piece in said)
    return Silent(SETTINGS + b"".join(pieces))


def test_PROBE_28_headers_may_be_padded_and_continued():
    """RFC 9113, 6.2 and 6.10."""
    begun = HeadersFrame(1, PACKED[:3], pad_length=7, flags=["PADDED"])
    continued = (
        ContinuationFrame(1, PACKED[3:5]),
        ContinuationFrame(1, PACKED[5:], flags=["END_HEADERS"]),
    )

    assert problem_from(says(begun, *continued, ANSWER)) is None


def test_PROBE_28_a_server_that_shuts_down_still_answers_what_it_has_taken():
    """GOAWAY without an error and with a later stream than ours, as a draining server says it."""
    headers = HeadersFrame(1, PACKED, flags=["END_HEADERS"])

    assert problem_from(says(GoAwayFrame(last_stream_id=2**31 - 1), headers, ANSWER)) is None


def test_PROBE_28_a_server_that_shuts_down_without_us_is_a_failure():
    """GOAWAY with an earlier stream than ours."""
    problem = problem_from(says(GoAwayFrame(last_stream_id=0)))

    assert problem == _RPC + "Unavailable desc = error reading from server: received goaway, code: NO_ERROR"


def test_PROBE_28_an_answer_may_come_byte_by_byte():
    """The frames are put together again."""
    said = SETTINGS + HeadersFrame(1, PACKED, flags=["END_HEADERS"]).serialize() + ANSWER

    async def respond(stream: trio.SocketStream) -> None:
        for byte in said:
            await stream.send_all(bytes((byte,)))
            await trio.sleep(0)
        await stream.receive_some()

    assert problem_from(respond) is None


def test_PROBE_28_settings_and_pings_are_answered():
    """With the payload that came (RFC 9113, 6.7)."""
    heard = bytearray()
    pong = PingFrame(opaque_data=b"12345678", flags=["ACK"]).serialize()

    async def respond(stream: trio.SocketStream) -> None:
        await stream.send_all(SETTINGS + PingFrame(opaque_data=b"12345678").serialize())
        while pong not in heard and (data := await stream.receive_some()):
            heard.extend(data)
        await stream.send_all(HeadersFrame(1, PACKED, flags=["END_HEADERS"]).serialize() + ANSWER)
        await stream.receive_some()

    assert problem_from(respond) is None
    assert SettingsFrame(flags=["ACK"]).serialize() in heard


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        (says(HeadersFrame(3, PACKED, flags=["END_HEADERS"])), "stream 3 was never opened"),
        (says(DataFrame(1, frame(HEALTHY))), "a DataFrame that nobody waits for"),
        (says(ContinuationFrame(1, PACKED)), "a ContinuationFrame that nobody waits for"),
        (says(PushPromiseFrame(1, 2, PACKED)), "a PushPromiseFrame that nobody waits for"),
        (says(HeadersFrame(1, PACKED[:3]), PingFrame()), "headers broke off"),
        (says(HeadersFrame(1, b"\xff" * 9, flags=["END_HEADERS"])), ""),
        (says(b"\0\0\0\x06\0\0\0\0\0"), ""),
    ],
)
def test_PROBE_28_what_HTTP_2_forbids_ends_the_call(said: Silent, problem: str):
    """Each of them is an error of the connection (RFC 9113, 5.4.1)."""
    answer = problem_from(said)

    assert answer is not None
    assert answer.startswith(_RPC + "Unavailable desc = connection error: " + problem)


@closes_its_sockets
def test_PROBE_28_no_socket_is_left_open():
    """Refused, garbage, timed out, healthy: all closed."""

    async def test() -> None:
        async with (
            serving(Answers(ok())) as other,
            serving(Silent()) as silent,
            serving(grpc_answer(frame(HEALTHY), grpc_status="0")) as healthy,
        ):
            before = open_sockets()
            async with trio.open_nursery() as nursery:
                for port in (free_port(), other, silent, healthy) * 10:
                    nursery.start_soon(problem_at, port, "", 0.3)
            while open_sockets() != before:  # the servers' ends, which close in their own time
                await trio.sleep(0.01)

    run(test)


def test_PROBE_28_the_library_of_the_real_server_is_there(require):
    """Without it the tests above would be silently fewer."""
    require(importlib.util.find_spec("grpc_health") is not None, "grpcio-health-checking")
