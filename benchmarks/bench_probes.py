"""What does one probe cost? Milliseconds of our CPU per probe, by kind, against a server in another process.

    python -m benchmarks.bench_probes [ROUNDS]

exec probes are left out: their cost is that of starting a process, see the benchmarks of the runtime.
"""

import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from threading import Thread

import trio
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import StreamEnded

from minikubelet.api.pod import Container, GRPCAction, HTTPGetAction, Probe, TCPSocketAction
from minikubelet.runtime.grpc_health import frame
from minikubelet.runtime.handlers import perform_probe
from minikubelet.runtime.process import CommandResult

CONTAINER = Container("bench")


def answer_http(connection: socket.socket) -> None:
    if connection.recv(4096):
        body = b'{"status":"ok"}'
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n" % len(body)
        connection.sendall(head + b"Date: Thu, 01 Jan 2026 00:00:00 GMT\r\nConnection: close\r\n\r\n" + body)


def answer_tcp(connection: socket.socket) -> None:
    connection.recv(1)


def answer_grpc(connection: socket.socket) -> None:
    http = H2Connection(H2Configuration(client_side=False))
    http.initiate_connection()
    while data := connection.recv(4096):
        for event in http.receive_data(data):
            if isinstance(event, StreamEnded):
                http.send_headers(1, [(":status", "200"), ("content-type", "application/grpc")])
                http.send_data(1, frame(b"\x08\x01"))
                http.send_headers(1, [("grpc-status", "0")], end_stream=True)
        connection.sendall(http.data_to_send())


def serve(listener: socket.socket, answer: Callable[[socket.socket], None]) -> None:
    while True:
        connection, _ = listener.accept()
        with connection:
            try:
                answer(connection)
            except OSError:
                pass


async def run_nothing(argv: object, timeout_seconds: float | None) -> CommandResult:
    raise NotImplementedError


async def measure(probe: Probe, rounds: int) -> float:
    """Milliseconds of CPU per probe."""
    for count in (50, rounds):  # the first turn is for imports and caches
        before = time.process_time()
        for _ in range(count):
            answer = await perform_probe("liveness", probe, CONTAINER, run_exec=run_nothing)
            assert answer.result == "success", answer
    return (time.process_time() - before) / rounds * 1000


def main(rounds: int) -> None:
    listeners = [socket.create_server(("127.0.0.1", 0), backlog=1024) for _ in range(3)]
    http, tcp, grpc = (listener.getsockname()[1] for listener in listeners)
    server = os.fork()
    if server == 0:
        for listener, answer in zip(listeners, (answer_http, answer_tcp, answer_grpc), strict=True):
            Thread(target=serve, args=(listener, answer)).start()
        signal.pause()
    try:
        for name, probe in {
            "httpGet": Probe(http_get=HTTPGetAction(http, path="/healthz")),
            "tcpSocket": Probe(tcp_socket=TCPSocketAction(tcp)),
            "grpc": Probe(grpc=GRPCAction(grpc)),
        }.items():
            print(f"{name:10} {trio.run(measure, probe, rounds):.3f} ms CPU per probe")
    finally:
        os.kill(server, signal.SIGKILL)
        os.waitpid(server, 0)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
