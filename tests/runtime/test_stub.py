"""The stub answers every kind of probe, tells its signals, and goes when it is told to."""

import http.client
import shutil
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, ResponseReceived, StreamEnded, TrailersReceived
from loopback import claim_port

from minikubelet.runtime import stub

PATIENCE = 20
"Seconds after which a test gives up; nothing here takes a tenth of a second."


@contextmanager
def running(*duties: str) -> Iterator["subprocess.Popen[str]"]:
    """A stub that has said its first line, which is also the last thing it does before it waits."""
    argv = [sys.executable, "-I", "-S", stub.__file__, "app:1", *duties]
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def first_line(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline()


@contextmanager
def listening(kind: str = "tcp") -> Iterator[int]:
    port = claim_port()
    with running(f"{kind}:{port}") as process:
        assert first_line(process) == f"stub of app:1: listening on {kind}:{port}\n"
        yield port


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), PATIENCE)


@pytest.mark.parametrize(("method", "body"), [("GET", b"ok\n"), ("POST", b"ok\n"), ("HEAD", b"")])
def test_every_http_request_is_answered_with_200(method: str, body: bytes) -> None:
    """PROBE-22."""
    with listening() as port, closing(http.client.HTTPConnection("127.0.0.1", port, PATIENCE)) as client:
        client.request(method, "/healthz?deep=1", body=b"x" * 100 if method == "POST" else None)
        response = client.getresponse()

        assert (response.status, response.read()) == (200, body)


def test_a_head_request_gets_no_body() -> None:
    with listening() as port, connect(port) as client:
        client.sendall(b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n")
        with client.makefile("rb") as answer:
            assert answer.read().endswith(b"\r\n\r\n")


def test_a_tcp_connection_is_accepted_and_kept() -> None:
    with listening() as port, connect(port) as first, connect(port) as second:
        first.sendall(b"no protocol at all\n")
        second.shutdown(socket.SHUT_WR)

        assert second.recv(1) == b""  # it goes when the client does, and not before
        first.setblocking(False)
        with pytest.raises(BlockingIOError):
            first.recv(1)


def test_a_client_that_goes_away_does_no_harm() -> None:
    with listening() as port:
        for _ in range(3):
            client = connect(port)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # reset, not close
            client.sendall(b"GET / HT")
            client.close()
        with closing(http.client.HTTPConnection("127.0.0.1", port, PATIENCE)) as client_after:
            client_after.request("GET", "/")

            assert client_after.getresponse().status == 200


def test_a_grpc_health_check_is_answered_with_serving() -> None:
    with listening() as port, connect(port) as connection:
        http2 = H2Connection(H2Configuration(header_encoding="utf-8"))
        http2.initiate_connection()
        request = [(":method", "POST"), (":scheme", "http"), (":path", "/grpc.health.v1.Health/Check")]
        http2.send_headers(1, [*request, (":authority", "x"), ("content-type", "application/grpc")])
        http2.send_data(1, b"\0\0\0\0\0", end_stream=True)
        http2.ping(b"12345678")
        connection.sendall(http2.data_to_send())
        headers: dict[str, str] = {}
        body = b""
        ended = False
        while not ended:
            for event in http2.receive_data(connection.recv(4096)):
                match event:
                    case ResponseReceived() | TrailersReceived():
                        headers |= dict(event.headers)  # type: ignore[arg-type]
                    case DataReceived():
                        body += event.data or b""
                    case StreamEnded():
                        ended = True

    assert headers == {":status": "200", "content-type": "application/grpc", "grpc-status": "0"}
    assert body == b"\0\0\0\0\2\x08\x01"


def test_an_https_probe_is_answered(require: Callable[[bool, str], None]) -> None:
    require(shutil.which("openssl") is not None, "openssl")
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE

    with (
        listening("tls") as port,
        closing(http.client.HTTPSConnection("127.0.0.1", port, timeout=PATIENCE, context=context)) as client,
    ):
        client.request("GET", "/")

        assert client.getresponse().status == 200


def test_it_listens_on_the_loopback_interface_alone() -> None:
    with listening() as port, socket.socket() as other:
        assert other.connect_ex(("127.0.0.2", port)) != 0


def test_a_udp_port_is_bound() -> None:
    port = claim_port(socket.SOCK_DGRAM)
    with running(f"udp:{port}") as process, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        first_line(process)

        with pytest.raises(OSError, match="in use"):
            other.bind(("127.0.0.1", port))


def test_a_port_that_is_taken_is_a_crash() -> None:
    """LOCAL-4."""
    with listening() as port, running(f"tcp:{port}") as second:
        output, _ = second.communicate(timeout=PATIENCE)

    assert (second.returncode, output) == (
        1,
        f"stub of app:1: cannot listen on tcp:{port}: Address already in use\n",
    )


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGQUIT", "SIGUSR1"])
def test_it_exits_with_0_on_a_stop_signal_and_says_so(name: str) -> None:
    with running("stop:SIGUSR1") as process:
        assert first_line(process) == "stub of app:1: no ports to listen on\n"
        process.send_signal(signal.Signals[name])
        output, _ = process.communicate(timeout=PATIENCE)

    assert (process.returncode, output) == (0, f"stub of app:1: got {name}, exiting with code 0\n")


def test_other_signals_are_told_and_survived() -> None:
    with running() as process:
        first_line(process)
        process.send_signal(signal.SIGHUP)
        told = first_line(process)
        process.terminate()
        process.communicate(timeout=PATIENCE)

    assert (told, process.returncode) == ("stub of app:1: got SIGHUP\n", 0)


def test_as_an_init_container_it_is_done_at_once() -> None:
    with running("exit") as process:
        output, _ = process.communicate(timeout=PATIENCE)

    assert (process.returncode, output) == (0, "stub of app:1: nothing to do, exiting with code 0\n")


def test_it_imports_nothing_of_the_package() -> None:
    """It is run without site-packages."""
    program = "import sys; exec(open(sys.argv[1]).read(), {'__name__': 'stub'}); print(*sys.modules)"
    argv = [sys.executable, "-I", "-S", "-c", program, stub.__file__]
    modules = subprocess.run(argv, capture_output=True, text=True, check=True).stdout.split()

    assert "socket" in modules
    assert not {"minikubelet", "typing", "ssl", "subprocess", "threading"} & set(modules)
