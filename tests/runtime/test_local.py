"""The runtime as a whole: pods with real processes, in each tier, as root and as an ordinary user."""

import io
import os
from collections.abc import Awaitable, Callable
from math import inf
from pathlib import Path

import attrs
import pytest
import trio
from every_user import Unsupported, as_every_user, as_root, as_user

from minikubelet.api.event import Event
from minikubelet.api.manifest import load
from minikubelet.api.pod import Pod
from minikubelet.api.pod_status import ContainerStatus
from minikubelet.kubelet.kubelet import Kubelet, Observer
from minikubelet.lifecycle.record import ProbeState
from minikubelet.runtime import local
from minikubelet.runtime.isolation import Wish
from minikubelet.runtime.mounts import mount_support
from minikubelet.runtime.sandbox import sandbox_trouble
from minikubelet.session import open_kubelet

LIMIT = 30  # seconds, of which none is needed


@attrs.define
class Result(Observer):
    """What came of the only pod."""

    pod: Pod | None = None
    output: dict[str, str] = attrs.Factory(dict)
    "By container."
    events: list[Event] = attrs.Factory(list)

    @property
    def status(self) -> ContainerStatus:
        """Of the first container."""
        assert self.pod is not None and self.pod.status is not None
        return self.pod.status.container_statuses[0]

    @property
    def exit_code(self) -> int:
        assert self.status.state.terminated is not None
        return self.status.state.terminated.exit_code

    def event(self, event: Event) -> None:
        self.events.append(event)


Act = Callable[[Kubelet, Result], Awaitable[None]]


def run(manifest: str, isolation: Wish = "auto", act: Act | None = None) -> Result:
    """Run a pod to its end, or until `act` returns."""
    result = Result()

    def output(pod: Pod, container: str, attempt: int, stream: str, chunk: bytes) -> None:
        result.output[container] = result.output.get(container, "") + chunk.decode()

    async def main() -> None:
        loaded = load(["-"], stdin=io.StringIO(manifest))
        with trio.fail_after(LIMIT):
            async with open_kubelet(loaded, isolation=isolation, output=output) as kubelet:
                kubelet.observers.append(result)
                if act is not None:
                    await act(kubelet, result)
                    kubelet.delete_all()
                await kubelet.wait_until(lambda: kubelet.is_finished)
            result.pod = kubelet.pod("default/p")

    trio.run(main)
    return result


def pod(script: str, container: str = "", spec: str = "") -> str:
    more = "".join(f"    {line}\n" for line in container.splitlines())
    lines = "".join(f"      {line}\n" for line in script.splitlines())
    return (
        "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec:\n  restartPolicy: Never\n"
        "  terminationGracePeriodSeconds: 5\n"
        + "".join(f"  {line}\n" for line in spec.splitlines())
        + f"  containers:\n  - name: c\n    image: busybox\n{more}"
        + f"    command:\n    - sh\n    - -c\n    - |\n{lines}"
    )


VOLUME = "volumes: [{name: v, emptyDir: {}}]"
MOUNT = "volumeMounts: [{name: v, mountPath: /v}]"


def need_mounts() -> None:
    support = mount_support(Path("/tmp"))
    if support.kind == "none":
        raise Unsupported(f"namespaces ({support.reason})")


def need_sandbox() -> None:
    if trouble := sandbox_trouble():
        raise Unsupported(f"namespaces ({trouble})")


# ------------------------------------------------------------------ mounts


@as_every_user
def test_a_read_only_root_has_places_to_write(directory: Path) -> None:
    """readOnlyRootFilesystem: volumes, the working directory, the termination log and /dev, nothing else."""
    need_mounts()
    mine = directory.name  # other tests on this machine have the same /dev/shm
    script = (
        f"for place in . /v /dev/shm; do echo x > $place/{mine} || exit 1; done; rm /dev/shm/{mine}\n"
        "echo words > /dev/termination-log || exit 2\n"
        f"for place in / /tmp /etc /var/tmp {directory}; do\n"
        f"  if touch $place/{mine} 2> /dev/null; then exit 3; fi\ndone"
    )
    result = run(pod(script, f"{MOUNT}\nsecurityContext: {{readOnlyRootFilesystem: true}}", VOLUME))

    assert result.exit_code == 0, result.output
    assert result.status.state.terminated is not None
    assert result.status.state.terminated.message == "words\n"


@as_every_user
def test_a_volume_may_hide_the_working_directory(directory: Path) -> None:
    """A mount at /tmp, where our own directories are: then the container starts in that."""
    need_mounts()
    result = run(pod("pwd; echo x > here; ls /tmp", MOUNT.replace("/v}", "/tmp}"), VOLUME))

    assert result.output["c"].split() == ["/tmp", "here"]


@as_every_user
def test_the_tier_is_in_the_events(directory: Path) -> None:
    """With the reason."""
    need_mounts()
    result = run(pod("true", MOUNT, VOLUME))

    assert [event.message for event in result.events if event.reason == "Isolated"] == [
        "mounts: volumeMounts"
    ]


@as_every_user
def test_what_cannot_be_executed_was_never_started(directory: Path) -> None:
    """LOCAL-3, where another program comes first: exit code 128, not one of a shell's."""
    need_mounts()
    (directory / "program").write_text("#!/no/such/interpreter\n")
    (directory / "program").chmod(0o755)
    for context in ("{allowPrivilegeEscalation: false}", "{readOnlyRootFilesystem: true}"):
        for name in ("no-such-program", str(directory / "program")):
            result = run(
                pod("").split("    command:")[0] + f"    securityContext: {context}\n    command: [{name}]\n"
            )
            assert result.exit_code == 128
            assert result.status.state.terminated is not None
            assert result.status.state.terminated.reason == "StartError"
            assert name in (result.status.state.terminated.message or "")


# ------------------------------------------------------------------ securityContext


@as_root
def test_root_runs_containers_as_others(directory: Path) -> None:
    """runAsUser, runAsGroup, fsGroup, supplementalGroups, for the container and its volumes."""
    containers = ["", "securityContext: {allowPrivilegeEscalation: false}"]
    if mount_support(Path("/tmp")).kind != "none":
        containers.append(MOUNT)
    for container in containers:
        ids = "{runAsUser: 1234, runAsGroup: 2345, fsGroup: 3456, supplementalGroups: [4567]}"
        script = "id -u; id -G; echo x > mine && stat -c %u:%g mine"
        result = run(pod(script, container, f"{VOLUME}\nsecurityContext: {ids}"))

        uid, groups, owner = result.output["c"].splitlines()
        assert (uid, set(groups.split()), owner) == ("1234", {"2345", "3456", "4567"}, "1234:2345")


@as_user
def test_a_user_is_shown_as_another(directory: Path) -> None:
    """runAsUser without root: what the container makes is ours outside."""
    need_mounts()
    result = run(
        pod("id -u; id -g; echo x > mine; stat -c %u mine", spec="securityContext: {runAsUser: 1234}")
    )

    assert result.output["c"].split() == ["1234", "0", "1234"]


@as_every_user
def test_no_new_privileges_holds_for_all_of_the_container(directory: Path) -> None:
    """allowPrivilegeEscalation: false, for its exec probes, too."""
    probe = "readinessProbe: {exec: {command: [sh, -c, 'grep -q NoNewPrivs:.1 /proc/self/status']}}"
    context = "securityContext: {allowPrivilegeEscalation: false}"

    async def act(kubelet: Kubelet, result: Result) -> None:
        await kubelet.wait_for("default/p", "Ready")

    script = "grep NoNewPrivs /proc/self/status\ntrap 'exit 0' TERM\nwhile :; do sleep 0.05; done"
    result = run(pod(script, f"{context}\n{probe}"), act=act)

    assert result.output["c"].split() == ["NoNewPrivs:", "1"]


@as_every_user
def test_who_must_not_be_root_waits_with_the_reason(directory: Path) -> None:
    """STATUS-8, STATUS-9: retried, no instance."""

    async def act(kubelet: Kubelet, result: Result) -> None:
        await kubelet.wait_until(lambda: any(event.reason == "Failed" for event in result.events))

    context = "securityContext: {runAsNonRoot: true, runAsUser: 0}"
    result = run(pod("true", context), act=act)

    (failed,) = (event for event in result.events if event.reason == "Failed")
    assert failed.message.startswith("Error: container's runAsUser breaks non-root policy (pod: ")
    assert result.status.restart_count == 0


# ------------------------------------------------------------------ pod sandboxes


@as_every_user
def test_a_pod_in_a_sandbox(directory: Path) -> None:
    """Its hostname, its PID 1, its volumes; its exit code."""
    need_sandbox()
    result = run(pod("hostname; echo $$$$; ls /v; touch /v/x; exit 3", MOUNT, VOLUME), "pod")

    assert result.output["c"].split() == ["p", "1"]
    assert result.exit_code == 3


@as_every_user
def test_probes_and_hooks_reach_into_the_pod(directory: Path) -> None:
    """PROBE-22..28: http, tcp and exec, at a port that is the pod's."""
    need_sandbox()
    server = (
        "python3 -I -c \"import http.server as h; h.HTTPServer(('127.0.0.1', 80), "
        'h.SimpleHTTPRequestHandler).serve_forever()"'
    )
    probes = (
        "ports: [{containerPort: 80}]\n"
        "startupProbe: {httpGet: {port: 80}, periodSeconds: 1, failureThreshold: 20}\n"
        "livenessProbe: {tcpSocket: {port: 80}, periodSeconds: 1}\n"
        "readinessProbe: {exec: {command: [sh, -c, 'test $(cat /proc/1/comm) = sh']}, periodSeconds: 1}\n"
        "lifecycle: {preStop: {httpGet: {path: /goodbye, port: 80}}}"
    )

    async def act(kubelet: Kubelet, result: Result) -> None:
        await kubelet.wait_for("default/p", "Ready")

    script = f"trap 'kill $!; exit 0' TERM\nPATH=/usr/bin:/bin {server} &\nwait"
    result = run(pod(script, probes), "pod", act)

    assert "GET / " in result.output["c"]
    assert "GET /goodbye " in result.output["c"]
    assert result.exit_code == 0


@as_every_user
def test_a_shell_as_pid_1_ignores_sigterm(directory: Path) -> None:
    """As in a cluster: the grace is over, then it is killed."""
    need_sandbox()

    async def act(kubelet: Kubelet, result: Result) -> None:
        await kubelet.wait_until(lambda: "up" in result.output.get("c", ""))
        kubelet.delete_pod("default/p", 1)

    assert run(pod("echo up; while :; do sleep 0.05; done"), "pod", act).exit_code == 137
    assert run(pod("echo up; while :; do sleep 0.05; done"), "none", act).exit_code == 143


@as_every_user
def test_shared_processes_end_with_their_container(directory: Path) -> None:
    """TERM-17, shareProcessNamespace: what a container leaves behind, and nothing of the others."""
    need_sandbox()
    side = (
        "initContainers:\n- name: side\n  image: busybox\n  restartPolicy: Always\n"
        '  command: [sh, -c, \'trap "pgrep -fxc \\"sleep [12]000\\"; exit 0" TERM; sleep 2000 & wait\']'
    )
    script = "(setsid sleep 1000 &)\nwhile ! pgrep -fx 'sleep 2000' > /dev/null; do :; done\nexit 3"
    manifest = pod(script, spec=f"shareProcessNamespace: true\n{side}")
    result = run(manifest)

    assert result.exit_code == 3
    assert result.output["side"].split() == ["1"]  # its own is left


@as_every_user
def test_sandboxes_leave_no_process_behind(directory: Path) -> None:
    """Nor a child to reap."""
    need_sandbox()
    run(pod("(setsid sleep 1000 &); exit 0", spec="shareProcessNamespace: true"), "pod")

    try:
        left = os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return
    raise AssertionError(left)


def test_a_hook_that_ends_with_its_container_has_not_failed() -> None:
    """HOOK-4: the container exits while its preStop hook is under way, which is then over, too."""
    hook = 'lifecycle: {preStop: {exec: {command: [sh, -c, "touch stopping; sleep 1000"]}}}'

    async def act(kubelet: Kubelet, result: Result) -> None:
        await kubelet.wait_for("default/p", "Ready")

    result = run(pod("until [ -e stopping ]; do sleep 0.01; done", hook), "none", act)

    assert result.exit_code == 0
    assert "FailedPreStopHook" not in [event.reason for event in result.events]


def test_a_probe_that_ends_with_its_container_is_not_told_of() -> None:
    """PROBE-18: no container, no answer; the journal would have it after the exit."""
    probe = 'readinessProbe: {exec: {command: [sh, -c, "touch asked; sleep 1000"]}, timeoutSeconds: 900}'
    result = run(pod("until [ -e asked ]; do sleep 0.01; done", probe), "none")

    assert result.exit_code == 0
    assert "Unhealthy" not in [event.reason for event in result.events]


def test_PROBE_4_probes_that_were_due_together_stay_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """One of two is always begun after the other; the moment between them is not told of."""
    monkeypatch.setattr(local, "NEGLIGIBLE_DELAY", inf)  # a slow machine may take longer than a moment
    probe = "{exec: {command: ['true']}, periodSeconds: 1000, timeoutSeconds: 900}"
    due: set[float] = set()

    async def act(kubelet: Kubelet, result: Result) -> None:
        def probes() -> list[ProbeState]:
            run = kubelet.worker("default/p").record.containers["c"].run
            return list(run.probes.values()) if run else []

        await kubelet.wait_until(lambda: [probe.verdict for probe in probes()] == [True, True])
        due.update(probe.due_at for probe in probes())

    run(pod("exec sleep 1000", f"readinessProbe: {probe}\nlivenessProbe: {probe}"), "none", act)

    assert len(due) == 1
