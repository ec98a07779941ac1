"""The least Python that could do it: no validation, no rules, no status, only processes and their output.

    floor.py lean CONFIG GRACE    spawns before it imports trio; one pidfd and one task a service
    floor.py trio CONFIG GRACE    the way trio's manual has it: `open_process`, a nursery a service
    floor.py pod POD.yaml         reads a manifest, spawns, then imports trio; neither restarts nor logs
    floor.py sidecar PROGRAM... MARKS    two, with a tag before MARKS; when one ends the other is told
    floor.py spawn COUNT PROGRAM  posix_spawn(3), waitpid(2), one after another; prints microseconds each
    floor.py probes KIND SECONDS PORT PROGRAM    100 each second, all due together; prints CPU seconds each

CONFIG has a service a line: LOG \t PROGRAM \t ARGUMENT...  Log lines get the prefix of the CRI.
"""

import os
import sys
from collections.abc import Callable, Sequence

Service = tuple[str, list[str]]
PROBED = 100


def read_config(path: str) -> list[Service]:
    with open(path, encoding="utf-8") as lines:
        cells = [line.rstrip("\n").split("\t") for line in lines]
    return [(log, argv) for log, *argv in cells]


def stamper() -> Callable[[bytes], bytes]:
    """Puts the prefix on every line of a chunk: one reading of the clock, one replace."""
    from time import gmtime, strftime, time_ns

    at_line_start, second, head = True, -1, b""

    def stamp(chunk: bytes) -> bytes:
        nonlocal at_line_start, second, head
        now, fraction = divmod(time_ns(), 1_000_000_000)
        if now != second:
            second, head = now, strftime("%Y-%m-%dT%H:%M:%S.", gmtime(now)).encode()
        prefix = b"%s%09dZ stdout F " % (head, fraction)
        ends_line = chunk.endswith(b"\n")
        body = chunk[:-1] if ends_line else chunk
        text = body.replace(b"\n", b"\n" + prefix) + (b"\n" if ends_line else b"")
        text, at_line_start = (prefix + text if at_line_start else text), ends_line
        return text

    return stamp


def open_log(path: str) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)


def spawn_captured(argv: list[str]) -> tuple[int, int]:
    """The pid, and where its output can be read."""
    read_end, write_end = os.pipe2(os.O_CLOEXEC)
    actions = [(os.POSIX_SPAWN_DUP2, write_end, 1), (os.POSIX_SPAWN_DUP2, write_end, 2)]
    pid = os.posix_spawn(argv[0], argv, os.environ, file_actions=actions)
    os.close(write_end)
    return pid, read_end


def run_lean(config: str, grace: str) -> None:
    services = read_config(config)
    first = [spawn_captured(argv) for _, argv in services]
    import signal

    import trio

    living: set[int] = set()
    stopping = False

    async def copy(fd: int, log: int, stamp: Callable[[bytes], bytes]) -> None:
        os.set_blocking(fd, False)
        while True:
            try:
                data = os.read(fd, 65536)
            except BlockingIOError:
                await trio.lowlevel.wait_readable(fd)
                continue
            if not data:
                break
            os.write(log, stamp(data))
            if len(data) == 65536:
                await trio.lowlevel.checkpoint()
            else:
                await trio.lowlevel.wait_readable(fd)
        trio.lowlevel.notify_closing(fd)
        os.close(fd)

    async def main() -> None:
        nonlocal stopping
        async with trio.open_nursery() as nursery:

            async def serve(log_path: str, argv: list[str], pid: int, output: int) -> None:
                log, stamp = open_log(log_path), stamper()
                while True:
                    nursery.start_soon(copy, output, log, stamp)
                    pidfd = os.pidfd_open(pid)
                    living.add(pid)
                    await trio.lowlevel.wait_readable(pidfd)
                    os.waitpid(pid, 0)
                    os.close(pidfd)
                    living.discard(pid)
                    if stopping:
                        break
                    pid, output = spawn_captured(argv)
                if not living:
                    nursery.cancel_scope.cancel()

            with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
                for service, process in zip(services, first, strict=True):
                    nursery.start_soon(serve, *service, *process)
                async for _ in signals:
                    stopping = True
                    for pid in living:
                        os.kill(pid, signal.SIGTERM)
                    await trio.sleep(float(grace))
                    for pid in living:
                        os.kill(pid, signal.SIGKILL)

    trio.run(main)
    os._exit(0)


def run_trio(config: str, grace: str) -> None:
    import signal
    import subprocess

    import trio

    async def copy(stream: trio.abc.ReceiveStream, log: int, stamp: Callable[[bytes], bytes]) -> None:
        while data := await stream.receive_some():
            os.write(log, stamp(bytes(data)))

    async def serve(log_path: str, argv: list[str], stop: trio.Event) -> None:
        log, stamp = open_log(log_path), stamper()
        while not stop.is_set():
            process = await trio.lowlevel.open_process(
                argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
            )
            assert process.stdout is not None
            async with trio.open_nursery() as nursery:
                nursery.start_soon(copy, process.stdout, log, stamp)

                async def end(process: trio.Process = process) -> None:
                    await stop.wait()
                    process.terminate()
                    await trio.sleep(float(grace))
                    process.kill()

                nursery.start_soon(end)
                await process.wait()
                nursery.cancel_scope.cancel()

    async def main() -> None:
        stop = trio.Event()
        with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            async with trio.open_nursery() as listening:

                async def listen() -> None:
                    async for _ in signals:
                        stop.set()

                listening.start_soon(listen)
                async with trio.open_nursery() as serving:
                    for log, argv in read_config(config):
                        serving.start_soon(serve, log, argv, stop)
                listening.cancel_scope.cancel()

    trio.run(main)


def run_pod(path: str) -> None:
    import yaml

    with open(path, "rb") as file:
        pod = yaml.load(file, getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    programs = [container["command"] for container in pod["spec"]["containers"]]
    living = {os.posix_spawn(argv[0], argv, os.environ) for argv in programs}
    import signal

    import trio

    async def main() -> None:
        async with trio.open_nursery() as nursery:

            async def wait(pid: int) -> None:
                await trio.lowlevel.wait_readable(os.pidfd_open(pid))
                os.waitpid(pid, 0)
                living.discard(pid)
                if not living:
                    nursery.cancel_scope.cancel()

            with trio.open_signal_receiver(signal.SIGTERM) as signals:
                for pid in living:
                    nursery.start_soon(wait, pid)
                async for _ in signals:
                    for pid in living:
                        os.kill(pid, signal.SIGTERM)

    trio.run(main)
    os._exit(0)


def run_sidecar(*program: str) -> None:
    import select
    import signal

    main, sidecar = (
        os.posix_spawn(program[0], [*program[:-1], tag, program[-1]], os.environ)
        for tag in ("main", "sidecar")
    )
    poll = select.poll()
    poll.register(os.pidfd_open(main), select.POLLIN)
    poll.poll()
    os.kill(sidecar, signal.SIGTERM)
    for pid in (main, sidecar):
        os.waitpid(pid, 0)


def run_spawn(count: str, program: str) -> None:
    from time import perf_counter

    began = perf_counter()
    for _ in range(int(count)):
        os.waitpid(os.posix_spawn(program, [program], os.environ), 0)
    print((perf_counter() - began) / int(count) * 1e6)


def run_probes(kind: str, seconds: str, port: str, program: str) -> None:
    import socket
    import time

    import trio

    done = 0
    request = b"GET /healthz HTTP/1.1\r\nHost: x\r\nUser-Agent: kube-probe/1\r\nConnection: close\r\n\r\n"

    async def probe() -> None:
        if kind == "exec":
            pid = os.posix_spawn(program, [program], os.environ)
            pidfd = os.pidfd_open(pid)
            await trio.lowlevel.wait_readable(pidfd)
            os.waitpid(pid, 0)
            os.close(pidfd)
            return
        with socket.socket() as sock:
            sock.setblocking(False)
            try:
                sock.connect(("127.0.0.1", int(port)))
            except BlockingIOError:
                await trio.lowlevel.wait_writable(sock)
            if kind == "httpGet":
                sock.send(request)
                await trio.lowlevel.wait_readable(sock)
                assert sock.recv(4096).startswith(b"HTTP/1.1 200")
            trio.lowlevel.notify_closing(sock)

    async def repeat(due: float) -> None:
        nonlocal done
        while True:
            await trio.sleep_until(due)
            with trio.fail_after(1):
                await probe()
            done += 1
            due += 1

    async def main() -> None:
        with trio.move_on_after(float(seconds)):
            async with trio.open_nursery() as nursery:
                due = trio.current_time()
                for _ in range(PROBED):
                    nursery.start_soon(repeat, due)

    began = time.process_time()
    trio.run(main)
    print((time.process_time() - began) / done)


FLOORS: dict[str, Callable[..., None]] = {
    "lean": run_lean,
    "trio": run_trio,
    "pod": run_pod,
    "sidecar": run_sidecar,
    "spawn": run_spawn,
    "probes": run_probes,
}


def main(name: str, *arguments: str) -> None:
    FLOORS[name](*arguments)


if __name__ == "__main__":
    given: Sequence[str] = sys.argv[1:]
    main(*given)
