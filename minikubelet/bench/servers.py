"""Who answers the probes: one process, sequential, told apart from the supervisor's own work."""

import mmap
import socket
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from threading import Thread

import attrs

_COUNTER = struct.Struct("Q")
_HTTP_ANSWER = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 15\r\n"
    b'Date: Thu, 01 Jan 2026 00:00:00 GMT\r\nConnection: close\r\n\r\n{"status":"ok"}'
)


@attrs.frozen
class Servers:
    listeners: Mapping[str, socket.socket]
    "By kind of probe."
    counters: mmap.mmap
    "One for each kind, shared with the process that serves."

    @property
    def ports(self) -> Mapping[str, int]:
        return {kind: listener.getsockname()[1] for kind, listener in self.listeners.items()}

    def answered(self) -> int:
        """Connections until now."""
        return sum(value for (value,) in _COUNTER.iter_unpack(self.counters[:]))

    def serve(self) -> None:
        """For ever."""
        threads = [
            Thread(target=self._serve, args=(kind, number * _COUNTER.size))
            for number, kind in enumerate(self.listeners)
        ]
        for thread in threads:
            thread.start()
        threads[0].join()

    def _serve(self, kind: str, place: int) -> None:
        served = 0
        while True:
            connection, _ = self.listeners[kind].accept()
            served += 1
            _COUNTER.pack_into(self.counters, place, served)
            with connection:
                try:
                    _ANSWERS[kind](connection)
                except OSError:
                    pass


@contextmanager
def serve_probes() -> Iterator[Servers]:
    """Sockets to be served by a process that is forked within the block."""
    listeners = {kind: socket.create_server(("127.0.0.1", 0), backlog=1024) for kind in _ANSWERS}
    try:
        yield Servers(listeners, mmap.mmap(-1, _COUNTER.size * len(listeners)))
    finally:
        for listener in listeners.values():
            listener.close()


def _answer_http(connection: socket.socket) -> None:
    if connection.recv(4096):
        connection.sendall(_HTTP_ANSWER)


def _answer_tcp(connection: socket.socket) -> None:
    connection.recv(1)


def _answer_grpc(connection: socket.socket) -> None:
    if connection.recv(4096):
        connection.sendall(_grpc_answer())
        while connection.recv(4096):
            pass


@cache
def _grpc_answer() -> bytes:
    from hpack import Encoder
    from hyperframe.frame import DataFrame, HeadersFrame, SettingsFrame

    encoder = Encoder()
    headers = encoder.encode([(":status", "200"), ("content-type", "application/grpc")])
    trailers = encoder.encode([("grpc-status", "0")])
    frames = (
        SettingsFrame(),
        SettingsFrame(flags=["ACK"]),
        HeadersFrame(1, headers, flags=["END_HEADERS"]),
        DataFrame(1, b"\0\0\0\0\2\x08\x01"),  # a HealthCheckResponse: SERVING
        HeadersFrame(1, trailers, flags=["END_HEADERS", "END_STREAM"]),
    )
    return b"".join(frame.serialize() for frame in frames)


_ANSWERS = {"httpGet": _answer_http, "tcpSocket": _answer_tcp, "grpc": _answer_grpc}
