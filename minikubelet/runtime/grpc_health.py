"""One call of grpc.health.v1.Health/Check over plaintext HTTP/2, which is all a grpc probe needs (PROBE-28).

HTTP/2 is frames (RFC 9113), which hyperframe reads and writes, and headers packed by HPACK (RFC 7541), which
hpack does; gRPC on top of it is a few headers, a five-byte frame around each message, and a status in the
trailers. The two messages of the protocol are encoded and decoded here by hand:

    HealthCheckRequest  { string service = 1; }         b"" or 0a LEN service
    HealthCheckResponse { ServingStatus status = 1; }   b"" (UNKNOWN) or 08 STATUS

The one idea: whatever the server does ends in a sentence saying what is wrong, in the kubelet's words
(`pkg/probe/grpc`), or in None. A connection carries one stream, and what is said on it first is the same each
time; so there is no state to keep but how far the answer has come. One difference: a refused connection is
told at once instead of being retried until the time is over.
"""

import functools
from collections.abc import Mapping
from http import HTTPStatus
from urllib.parse import unquote

import attrs
import trio
from hpack import Decoder, Encoder, HPACKError
from hyperframe.exceptions import HyperframeError
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    Frame,
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    PushPromiseFrame,
    RstStreamFrame,
    SettingsFrame,
)

from minikubelet.lifecycle.backoff import go_duration
from minikubelet.runtime.http_client import MOST_REQUESTS, Connection, DialError, dial, join_host_port

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

_STREAM = 1
"The first that a client may open, and our only one."

_FRAME_HEADER_BYTES = 9

_MAX_FRAME_BYTES = 16384
"SETTINGS_MAX_FRAME_SIZE, as long as nobody sets another."

_GOODBYE = GoAwayFrame().serialize()

_MAX_RECEIVED_BYTES = 128 * 1024
"Of everything, headers and control frames included."

_MAX_MESSAGE_BYTES = 10 * 1024

_MOST_ANSWERS = 16
"Whose headers are kept unpacked: a server packs the same ones each time, and so do all of its kind."

_SERVING_STATUS = ("UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN")

_CODES = (
    *("OK", "Canceled", "Unknown", "InvalidArgument", "DeadlineExceeded", "NotFound", "AlreadyExists"),
    *("PermissionDenied", "ResourceExhausted", "FailedPrecondition", "Aborted", "OutOfRange"),
    *("Unimplemented", "Internal", "Unavailable", "DataLoss", "Unauthenticated"),
)
"The names of the status codes as grpc-go prints them, by number."

_ERRORS = (
    *("NO_ERROR", "PROTOCOL_ERROR", "INTERNAL_ERROR", "FLOW_CONTROL_ERROR", "SETTINGS_TIMEOUT"),
    *("STREAM_CLOSED", "FRAME_SIZE_ERROR", "REFUSED_STREAM", "CANCEL", "COMPRESSION_ERROR", "CONNECT_ERROR"),
    *("ENHANCE_YOUR_CALM", "INADEQUATE_SECURITY", "HTTP_1_1_REQUIRED"),
)
"The names of HTTP/2's own errors, by number (RFC 9113, 7)."

_CODE_OF_HTTP_STATUS = {
    "400": "Internal",
    "401": "Unauthenticated",
    "403": "PermissionDenied",
    "404": "Unimplemented",
    "429": "Unavailable",
    "502": "Unavailable",
    "503": "Unavailable",
    "504": "Unavailable",
}
"For answers without a grpc-status (http-grpc-status-mapping.md of the gRPC documentation)."

_PHRASES = {str(status.value): status.phrase for status in HTTPStatus}


async def check(host: str, port: int, service: str, *, timeout_seconds: float, user_agent: str) -> str | None:
    """What is wrong with the health of `service` (empty: of the whole server), None if it is SERVING."""
    address = join_host_port(host, port)
    call = _Call()
    try:
        with trio.move_on_after(timeout_seconds):
            with await dial(host, port) as connection:
                status = await call.perform(connection, address, service, user_agent)
                return None if status == "SERVING" else f'service unhealthy (responded with "{status}")'
    except _CallError as error:
        if not call.is_connected:
            return f'error: failed to connect service at "{address}": {error.description}'
        if error.code == "Unimplemented":
            return (
                "error: this server does not implement the grpc health protocol "
                f"(grpc.health.v1.Health): {error.description}"
            )
        if error.code != "DeadlineExceeded":
            return (
                f"error: health rpc probe failed: rpc error: code = {error.code} desc = {error.description}"
            )
    except DialError as error:
        return f'error: failed to connect service at "{address}": {error}'
    if not call.is_connected:
        within = go_duration(timeout_seconds)
        return f'timeout: failed to connect service "{address}" within {within}: context deadline exceeded'
    return f"timeout: health rpc did not complete within {go_duration(timeout_seconds)}"


class _CallError(Exception):
    def __init__(self, code: str, description: str) -> None:
        super().__init__(code, description)
        self.code = code
        self.description = description


@functools.lru_cache(MOST_REQUESTS)
def _request(authority: str, service: str, user_agent: str) -> bytes:
    """All that is to be said before the server speaks."""
    headers = Encoder().encode(
        [
            (":method", "POST"),
            (":scheme", "http"),
            (":path", "/grpc.health.v1.Health/Check"),
            (":authority", authority),
            ("content-type", "application/grpc"),
            ("user-agent", user_agent),
            ("te", "trailers"),
        ]
    )
    message = frame(encode_request(service))
    pieces = [message[at : at + _MAX_FRAME_BYTES] for at in range(0, len(message), _MAX_FRAME_BYTES)]
    frames: list[Frame] = [
        SettingsFrame(settings={SettingsFrame.ENABLE_PUSH: 0}),
        HeadersFrame(_STREAM, headers, flags=["END_HEADERS"]),
        *(DataFrame(_STREAM, piece) for piece in pieces),
    ]
    frames[-1].flags.add("END_STREAM")
    return _PREFACE + b"".join(each.serialize() for each in frames)


@functools.lru_cache(_MOST_ANSWERS)
def _unpacked(packed: tuple[bytes, ...]) -> Mapping[str, str]:
    """All headers of a connection. Raises `HPACKError`."""
    decoder = Decoder()
    return {
        name.decode("ascii", "replace"): value.decode("utf-8", "replace")
        for block in packed
        for name, value in decoder.decode(block, raw=True)
    }


@attrs.define
class _Call:
    is_connected: bool = False
    "The server has shown that it speaks HTTP/2; until then gRPC counts a connection as not made."
    is_complete: bool = False
    headers: Mapping[str, str] = attrs.Factory(dict)
    "Headers and trailers together: where nothing but a status is to be told, it comes in the headers."
    body: bytearray = attrs.Factory(bytearray)
    _packed: list[bytes] = attrs.Factory(list)
    "The same as they came."
    _begun: HeadersFrame | None = None
    "It is continued in the frames that follow, to the exclusion of any others."

    async def perform(self, connection: Connection, authority: str, service: str, user_agent: str) -> str:
        """The name of the serving status. Raises `_CallError`."""
        pending = b""
        received = 0
        try:
            await connection.send_all(_request(authority, service, user_agent))
            while not self.is_complete:
                data = await connection.receive_some()
                received += len(data)
                if not data:
                    raise _CallError("Unavailable", "error reading from server: EOF")
                if connection.first_bytes == b"HTTP/":  # the start of a very long frame, if of any
                    raise _CallError("Unavailable", "error reading server preface: got an HTTP/1.1 response")
                if received > _MAX_RECEIVED_BYTES:
                    raise _CallError("ResourceExhausted", f"received more than {_MAX_RECEIVED_BYTES} bytes")
                pending, replies = self._read(pending + data)
                await connection.send_all(replies + _GOODBYE if self.is_complete else replies)
        except (HyperframeError, HPACKError) as error:
            raise _protocol_error(str(error)[:200]) from error
        except OSError as error:
            if not self.is_complete:  # else it only did not wait for our goodbye
                raise _CallError("Unavailable", f"error reading from server: {error.strerror}") from error
        self._raise_for_status()
        return decode_response(unframe(bytes(self.body)))

    def _read(self, data: bytes) -> tuple[bytes, bytes]:
        """Take in whole frames until the answer is complete; what is left of `data`, and what to reply."""
        replies = b""
        view = memoryview(data)
        while len(view) >= _FRAME_HEADER_BYTES and not self.is_complete:
            received, length = Frame.parse_frame_header(view[:_FRAME_HEADER_BYTES])
            end = _FRAME_HEADER_BYTES + length
            if length > _MAX_FRAME_BYTES:
                raise _protocol_error(f"a frame of {length} bytes")
            if len(view) < end:
                break
            received.parse_body(view[_FRAME_HEADER_BYTES:end])
            view = view[end:]
            replies += self._observe(received)
        return bytes(view), replies

    def _observe(self, received: Frame) -> bytes:
        """Take in a frame; what to reply to it."""
        if not self.is_connected and not isinstance(received, SettingsFrame):
            raise _protocol_error("the server did not begin with its settings")
        if self._begun is not None and not isinstance(received, ContinuationFrame):
            raise _protocol_error("headers broke off")
        match received:
            case SettingsFrame():
                self.is_connected = True
                if "ACK" not in received.flags:
                    return SettingsFrame(flags=["ACK"]).serialize()
            case PingFrame():
                if "ACK" not in received.flags:
                    return PingFrame(flags=["ACK"], opaque_data=received.opaque_data).serialize()
            case GoAwayFrame():
                if received.error_code or received.last_stream_id < _STREAM:  # else it finishes what it has
                    code = _error_name(received.error_code)
                    raise _CallError(
                        "Unavailable", f"error reading from server: received goaway, code: {code}"
                    )
            case HeadersFrame() | DataFrame() | RstStreamFrame() | ContinuationFrame() | PushPromiseFrame():
                if received.stream_id != _STREAM:
                    raise _protocol_error(f"stream {received.stream_id} was never opened")
                self._observe_answer(received)
        return b""

    def _observe_answer(self, received: Frame) -> None:
        match received:
            case HeadersFrame():
                self._begun = received
            case ContinuationFrame() if self._begun is not None:
                self._begun.data += received.data
            case DataFrame() if self.headers:
                self.body += received.data
                if len(self.body) > _MAX_MESSAGE_BYTES:
                    reason = f"grpc: received message larger than max {_MAX_MESSAGE_BYTES}"
                    raise _CallError("ResourceExhausted", reason)
                self.is_complete = "END_STREAM" in received.flags
            case RstStreamFrame():
                name = _error_name(received.error_code)
                raise _CallError("Internal", f"stream terminated by RST_STREAM with error code: {name}")
            case _:
                raise _protocol_error(f"a {type(received).__name__} that nobody waits for")
        if self._begun is not None and "END_HEADERS" in received.flags:
            self.is_complete = "END_STREAM" in self._begun.flags
            self._packed.append(self._begun.data)
            if self.is_complete or len(self._packed) == 1:
                self.headers = _unpacked(tuple(self._packed))
            self._begun = None

    def _raise_for_status(self) -> None:
        grpc_status = self.headers.get("grpc-status")
        if grpc_status == "0":
            return
        if grpc_status is None:
            raise self._without_grpc_status()
        codes = {str(number): name for number, name in enumerate(_CODES)}
        raise _CallError(codes.get(grpc_status, "Unknown"), unquote(self.headers.get("grpc-message", "")))

    def _without_grpc_status(self) -> _CallError:
        content_type = self.headers.get("content-type", "")
        if content_type.startswith("application/grpc"):
            return _CallError("Internal", "server closed the stream without sending trailers")
        status = self.headers.get(":status", "")
        phrase = _PHRASES.get(status, "")
        reason = f"unexpected HTTP status code received from server: {status} ({phrase})"
        if status == "200":
            reason += f'; transport: received unexpected content-type "{content_type}"'
        return _CallError(_CODE_OF_HTTP_STATUS.get(status, "Unknown"), reason)


def _protocol_error(reason: str) -> _CallError:
    return _CallError("Unavailable", f"connection error: {reason}")


def _error_name(code: int) -> str:
    return _ERRORS[code] if code < len(_ERRORS) else str(code)


# ------------------------------------------------------------------ messages


def frame(message: bytes) -> bytes:
    """Length-prefixed, uncompressed (gRPC over HTTP/2, "Length-Prefixed-Message")."""
    return b"\0" + len(message).to_bytes(4, "big") + message


def unframe(body: bytes) -> bytes:
    """The one message of a unary answer. Raises `_CallError`."""
    if not body:
        raise _CallError("Internal", "received no response message")
    if body[0] != 0:
        raise _CallError("Internal", "grpc: compressed flag set with identity or empty encoding")
    length, message = int.from_bytes(body[1:5], "big"), body[5:]
    if len(body) < 5 or len(message) != length:
        raise _CallError("Internal", f"received {len(message)} bytes of a message of {length}")
    return message


def encode_request(service: str) -> bytes:
    name = service.encode("utf-8", "replace")
    return b"\x0a" + _varint(len(name)) + name if name else b""


def decode_response(message: bytes) -> str:
    """The name of the serving status. Unknown fields are skipped, the last value of a field counts.

    Raises `_CallError` for what is no protobuf message.
    """
    status = position = 0
    while position < len(message):
        tag, position = _read_varint(message, position)
        number, wire_type = tag >> 3, tag & 7
        value = None
        match wire_type:
            case 0:
                value, position = _read_varint(message, position)
            case 1:
                position += 8
            case 2:
                length, position = _read_varint(message, position)
                position += length
            case 5:
                position += 4
            case _:
                raise _malformed("invalid wire type")
        if number == 1 and value is not None:
            status = value
    if position > len(message):
        raise _malformed("unexpected EOF")
    return _SERVING_STATUS[status] if status < len(_SERVING_STATUS) else str(status)


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _read_varint(message: bytes, position: int) -> tuple[int, int]:
    value = 0
    for shift, byte in zip(range(0, 70, 7), message[position : position + 10], strict=False):
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position + shift // 7 + 1
    raise _malformed("unexpected EOF")


def _malformed(reason: str) -> _CallError:
    return _CallError("Internal", f"grpc: failed to unmarshal the received message: proto: {reason}")
