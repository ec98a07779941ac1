"""Stands in for a program that is not on this machine (`--stub-missing`): a container to watch, not to use.

It listens on the ports it is given, on the loopback interface only, and gives the answer that every kind of
probe hopes for: 200 to whatever HTTP request, SERVING to a gRPC health check, an open connection to anyone
else. It says which signals it gets, and exits with code 0 on SIGTERM, SIGINT, SIGQUIT and the container's
own stop signal. It is run as a file (`python -I -S stub.py NAME DUTY…`), so it imports nothing of the
package, and little else, to be up in a few milliseconds. The duties:

    tcp:PORT  tls:PORT  udp:PORT    listen there; tls needs the `openssl` program to make itself a certificate
    stop:SIGNAL                     one more signal to exit on
    exit                            say so and exit with code 0 at once, as an init container should
"""

from __future__ import annotations

import _thread
import os
import signal
import socket
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import BinaryIO

    Wrap = Callable[[socket.socket], socket.socket]

LOOPBACK = "127.0.0.1"
STOP_SIGNALS = {"SIGTERM", "SIGINT", "SIGQUIT"}
TOLD_SIGNALS = {"SIGHUP", "SIGUSR1", "SIGUSR2", "SIGWINCH", "SIGALRM", "SIGCONT"}

HTTP2_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, SETTINGS, PING = 0, 1, 4, 6
END_STREAM, END_HEADERS, ACK = 1, 4, 1
# HPACK: `:status: 200` is entry 8 of the static table, content-type 31; grpc-status is spelled out.
RESPONSE_HEADERS = b"\x88\x0f\x10\x10application/grpc"
RESPONSE_TRAILERS = b"\x00\x0bgrpc-status\x010"
SERVING = b"\x00\x00\x00\x00\x02\x08\x01"  # an uncompressed message of 2 bytes: field 1 is 1

OPENSSL = (
    "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 9 -subj /CN=localhost"
)


def main(name: str, duties: list[str]) -> None:
    def say(text: str) -> None:
        os.write(1, f"stub of {name}: {text}\n".encode())

    if "exit" in duties:
        say("nothing to do, exiting with code 0")
        return
    stop_signals = STOP_SIGNALS | {duty[5:] for duty in duties if duty.startswith("stop:")}
    handle_signals(stop_signals, say)
    ports = [duty for duty in duties if not duty.startswith("stop:")]
    for port in ports:
        try:
            listen(port)
        except OSError as error:
            say(f"cannot listen on {port}: {error.strerror or error}")
            sys.exit(1)
    say(f"listening on {', '.join(ports)}" if ports else "no ports to listen on")
    while True:
        signal.pause()


def handle_signals(stop_signals: set[str], say: Callable[[str], None]) -> None:
    def told(number: int, frame: object) -> None:
        stops = signal.Signals(number).name in stop_signals
        say(f"got {signal.Signals(number).name}{', exiting with code 0' if stops else ''}")
        if stops:
            os._exit(0)

    for name in stop_signals | TOLD_SIGNALS:
        signal.signal(signal.Signals[name], told)


def listen(duty: str) -> None:
    """Start serving one port in a thread of its own. Raises OSError."""
    kind, _, number = duty.partition(":")
    address = (LOOPBACK, int(number))
    if kind == "udp":
        receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        receiver.bind(address)
        _thread.start_new_thread(discard, (receiver,))
        return
    wrap = make_tls_wrapper() if kind == "tls" else None
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(address)
    listener.listen(128)
    _thread.start_new_thread(accept, (listener, wrap))


def discard(receiver: socket.socket) -> None:
    while True:
        receiver.recv(65536)


def accept(listener: socket.socket, wrap: Wrap | None) -> None:
    while True:
        connection, _ = listener.accept()
        _thread.start_new_thread(serve, (connection, wrap))


def serve(connection: socket.socket, wrap: Wrap | None) -> None:
    """Answer one client; what it does wrong, such as going away, is its own affair."""
    try:
        if wrap:
            connection = wrap(connection)
        with connection, connection.makefile("rb") as stream:
            first = stream.readline()
            if first == HTTP2_PREFACE[:16]:
                stream.read(len(HTTP2_PREFACE) - 16)
                answer_http2(connection, stream)
            elif b" HTTP/1" in first:
                while stream.readline().strip():
                    pass
                answer_http(connection, with_body=not first.startswith(b"HEAD "))
            while connection.recv(65536):
                pass  # until the other side has enough
    except OSError:
        pass


def answer_http(connection: socket.socket, *, with_body: bool) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 3\r\nConnection: close\r\n\r\n"
    connection.sendall(head + (b"ok\n" if with_body else b""))
    connection.shutdown(socket.SHUT_WR)


def answer_http2(connection: socket.socket, stream: BinaryIO) -> None:
    """Every request is taken for a gRPC health check; its headers need not even be decoded."""

    def send(kind: int, flags: int, stream_id: int, payload: bytes) -> None:
        header = len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream_id.to_bytes(4, "big")
        connection.sendall(header + payload)

    send(SETTINGS, 0, 0, b"")
    while len(header := stream.read(9)) == 9:
        payload = stream.read(int.from_bytes(header[:3], "big"))
        kind, flags, stream_id = header[3], header[4], int.from_bytes(header[5:], "big")
        if kind in (SETTINGS, PING) and not flags & ACK:
            send(kind, ACK, 0, payload if kind == PING else b"")
        elif kind in (DATA, HEADERS) and flags & END_STREAM:
            send(HEADERS, END_HEADERS, stream_id, RESPONSE_HEADERS)
            send(DATA, 0, stream_id, SERVING)
            send(HEADERS, END_HEADERS | END_STREAM, stream_id, RESPONSE_TRAILERS)


def make_tls_wrapper() -> Wrap:
    """Make a certificate; nobody needs to trust it, since the kubelet's probes do not. Raises OSError."""
    import ssl
    import subprocess
    import tempfile

    with tempfile.TemporaryDirectory() as directory:
        key, certificate = f"{directory}/key.pem", f"{directory}/certificate.pem"
        made = subprocess.run(
            [*OPENSSL.split(), "-keyout", key, "-out", certificate],
            stdin=subprocess.DEVNULL,
            capture_output=True,
        )
        if made.returncode:
            raise OSError(f"openssl: {made.stderr.decode(errors='replace').strip()}")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
    return lambda connection: context.wrap_socket(connection, server_side=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
