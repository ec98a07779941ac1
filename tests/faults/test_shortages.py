"""No processes, no descriptors, no threads: what there is goes on, and the rest is tried again."""

import errno
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import trio
from foreground import RETRY_SOON, container, pod, run_to_end

from minikubelet.api.pod import Container, HTTPGetAction, Probe, TCPSocketAction
from minikubelet.cli.writer import Writer
from minikubelet.runtime import handlers, http_client
from minikubelet.runtime.process import CommandResult

FEW_FORKS = """
import errno, os
refusals = {number}
really = os.posix_spawn

def posix_spawn(path, argv, *args, **options):
    global refusals
    if {word!r} in " ".join(argv) and refusals > 0:
        refusals -= 1
        raise OSError({number_of_error}, os.strerror({number_of_error}))
    return really(path, argv, *args, **options)

os.posix_spawn = posix_spawn
"""


def few_forks(number: int, word: str, lack: int = errno.EAGAIN) -> str:
    """So many times no process can be made for a command with that word."""
    return FEW_FORKS.format(number=number, word=word, number_of_error=lack)


def limited(number: int, hard: int) -> str:
    """No more open files than these, and none that were inherited."""
    return f"""
import os, resource
os.closerange(3, 1024)
resource.setrlimit(resource.RLIMIT_NOFILE, ({number}, {hard}))
"""


# ------------------------------------------------------------------ processes


@pytest.mark.parametrize("lack", [errno.EAGAIN, errno.ENOMEM, errno.ENFILE], ids=errno.errorcode.get)
def test_STATUS_9_a_container_for_which_fork_fails_is_tried_again(tmp_path: Path, lack: int) -> None:
    """No instance existed, so there is no exit code to judge, even with restartPolicy Never."""
    prelude = RETRY_SOON + few_forks(2, "echo up", lack)
    code, out, _ = run_to_end(tmp_path, pod(container("echo up")), prelude=prelude)

    assert code == 0
    assert out.splitlines()[:4] == [
        f'web/main ! Failed: Error: cannot start "sh": {os.strerror(lack)}',
        f'web/main ! Failed: Error: cannot start "sh": {os.strerror(lack)}',
        "web/main * Started",
        "web/main | up",
    ]


def test_PROBE_19_a_probe_for_which_fork_fails_is_no_failure(tmp_path: Path) -> None:
    """Three attempts, all that one probe makes, and a failureThreshold of 1; the next one succeeds."""
    probe = {"exec": {"command": ["touch", "asked"]}, "periodSeconds": 1, "failureThreshold": 1}
    main = container("while ! [ -e asked ]; do sleep 0.05; done", livenessProbe=probe)
    code, out, _ = run_to_end(tmp_path, pod(main), prelude=few_forks(3, "touch asked"))

    assert code == 0
    assert 'Liveness probe errored: exec: "touch": Resource temporarily unavailable' in out
    assert "Killing" not in out


def test_a_hook_for_which_fork_fails_has_failed(tmp_path: Path) -> None:
    """HOOK-3, as with a command that is not there."""
    post_start = {"exec": {"command": ["true"]}}
    main = container("exec sleep 100", lifecycle={"postStart": post_start})
    prelude = few_forks(1, "true")
    code, out, _ = run_to_end(tmp_path, pod(main), prelude=prelude)

    assert code == 1
    assert 'failed - error: exec: "true": Resource temporarily unavailable' in out


def test_without_room_for_a_thread_the_output_waits_for_the_end(tmp_path: Path) -> None:
    """The writer of a screen; RLIMIT_NPROC counts threads."""
    prelude = """
import threading
really = threading.Thread.start

def start(self):
    if self.name == "minikubelet-writer":
        raise RuntimeError("can't start new thread")
    really(self)

threading.Thread.start = start
"""
    code, out, _ = run_to_end(tmp_path, pod(container("echo up")), prelude=prelude)

    assert code == 0
    assert out.splitlines()[:2] == ["web/main * Started", "web/main | up"]


def test_a_writer_gets_its_thread_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """At the next write."""
    source, fd = os.pipe()
    writer = Writer(fd)
    really = writer._thread.start
    answers = iter([RuntimeError("can't start new thread"), None])

    def start() -> None:
        if error := next(answers):
            raise error
        really()

    monkeypatch.setattr(writer._thread, "start", start)
    writer.start()
    writer.write(b"text\n")

    assert os.read(source, 100) == b"text\n"

    writer.close()
    os.close(fd)
    os.close(source)


@pytest.mark.parametrize("function", ["os.mkdir", "os.posix_spawn", "os.pipe2", "threading.Thread.start"])
def test_a_run_for_which_there_is_no_room_at_all_says_so(tmp_path: Path, function: str) -> None:
    """Exit code 1, one line, and nothing left."""
    module = function.partition(".")[0]
    prelude = f"""
import errno, os, threading

def fail(*args, **options):
    if {module!r} == "threading":
        raise RuntimeError("can't start new thread")
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

os.environ["TMPDIR"] = {str(tmp_path)!r}
{function} = fail
"""
    code, out, err = run_to_end(tmp_path, pod(container("echo up")), prelude=prelude)

    assert (code, out) == (1, "")
    assert err.startswith("minikubelet: cannot start: ")
    assert len(err.splitlines()) == 1


# ------------------------------------------------------------------ descriptors


def test_containers_may_need_more_descriptors_than_the_soft_limit(tmp_path: Path) -> None:
    """40 containers of four descriptors each; each of them gets the limits that we were given."""
    containers = [container("ulimit -Sn; ulimit -Hn; ls /proc/self/fd | wc -w", f"c{i}") for i in range(40)]
    code, out, _ = run_to_end(tmp_path, pod(*containers), prelude=limited(110, 400))
    said = [line.partition(" | ")[2] for line in out.splitlines() if " | " in line]

    assert code == 0
    assert {number: said.count(number) for number in said} == {"110": 40, "400": 40, "4": 40}


def test_beyond_the_hard_limit_containers_wait_for_each_other(tmp_path: Path) -> None:
    """STATUS-9: none fails for it, even with restartPolicy Never."""
    containers = [container("sleep 0.3", f"c{i}") for i in range(40)]
    code, out, _ = run_to_end(tmp_path, pod(*containers), prelude=RETRY_SOON + limited(110, 110))

    assert code == 0
    assert 'Failed: Error: cannot start "sh": Too many open files' in out
    assert out.count("* Exited: code 0") == 40


def test_an_inherited_descriptor_beyond_the_limit_keeps_nothing_from_starting(tmp_path: Path) -> None:
    """posix_spawn(3) refuses to close what is not below the limit; containers do not get it all the same."""
    prelude = """
import os, resource
os.dup2(0, 900)
resource.setrlimit(resource.RLIMIT_NOFILE, (500, 500))
"""
    code, out, _ = run_to_end(tmp_path, pod(container("ls /proc/self/fd")), prelude=prelude, close_fds=False)

    assert code == 0
    assert "| 900" not in out


def test_orphans_need_descriptors_and_die_without_them_too(tmp_path: Path) -> None:
    """TERM-17, LOCAL-2: 60 daemons of a container, and room for three pidfds."""
    script = """
    import os, resource, signal, sys
    from pathlib import Path
    from minikubelet.runtime.logs import ContainerLog
    from minikubelet.runtime.proc import children_of
    from minikubelet.runtime.process import LocalProcess
    from minikubelet.runtime.reactor import Reactor
    from minikubelet.runtime.reaper import Reaper

    reactor = Reactor()
    reaper = Reaper(reactor)
    exits = []
    daemon = "i=0; while [ $i -lt 60 ]; do (setsid sleep 1000 &); i=$((i+1)); done; echo made; exec sleep 99"
    chunks = []
    log = ContainerLog("logs", 0, sink=lambda stream, chunk: chunks.append(chunk))
    process = LocalProcess.start(
        reaper, ["sh", "-c", daemon], container_id="x/c", env={"PATH": os.environ["PATH"]}, cwd=".",
        log=log, exited=exits.append,
    )
    latest = os.dup(0)
    os.close(latest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (latest + 4, latest + 4))
    while b"made" not in b"".join(chunks):
        reactor.run_once(1)
    process.signal(signal.SIGTERM)
    while not exits:
        reactor.run_once(1)
    left = children_of(os.getpid(), map(int, os.listdir("/proc/self/task")))
    print(exits, left)
    reaper.close()
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent.parent)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (done.stdout, done.stderr) == (f"[{128 + signal.SIGTERM}] []\n", "")


@pytest.mark.parametrize(
    "probe",
    [Probe(http_get=HTTPGetAction(port=80)), Probe(tcp_socket=TCPSocketAction(port=80))],
    ids=["httpGet", "tcpSocket"],
)
def test_PROBE_20_a_probe_without_a_descriptor_is_no_failure(probe: Probe) -> None:
    """The container was not asked."""

    def no_socket(family: int, kind: int) -> None:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    async def run_exec(words: object, timeout: object) -> CommandResult:
        raise AssertionError

    async def ask() -> handlers.ProbeAnswer:
        http_client.new_socket.set(no_socket)  # type: ignore[arg-type]
        return await handlers.perform_probe("liveness", probe, Container("c", "i"), run_exec=run_exec)

    answer = trio.run(ask)

    assert (answer.result, answer.output) == ("error", "socket: too many open files")
