"""Which tier a pod gets, and what is told about that before anything starts."""

import io
import os

import pytest

from minikubelet.api.manifest import Manifest, load
from minikubelet.runtime import cgroups, isolation, mounts, sandbox, security
from minikubelet.runtime.cgroups import Delegation
from minikubelet.runtime.feasibility import faults, isolation_for, remarks
from minikubelet.runtime.images import ImageResolver
from minikubelet.runtime.isolation import Tier, Wish
from minikubelet.runtime.mounts import MountSupport


class Machine:
    """What the host allows; tests change it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.mounts = MountSupport("root")
        self.sandbox_trouble = ""
        self.delegation = Delegation(reason="nobody delegated anything")
        monkeypatch.setattr(mounts, "mount_support", lambda directory: self.mounts)
        monkeypatch.setattr(sandbox, "sandbox_trouble", lambda: self.sandbox_trouble)
        monkeypatch.setattr(cgroups, "find_delegation", lambda: self.delegation)
        monkeypatch.setattr(os, "geteuid", lambda: 0)
        monkeypatch.setattr(security, "may_become", lambda identity: True)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(monkeypatch)


def pod(container: str = "", spec: str = "", name: str = "p") -> str:
    """A pod whose container, and whose spec, has further fields."""
    fields = f"name: c, image: busybox, command: [sh]{container and ', ' + container}"
    return (
        f"apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\n"
        f"spec: {{containers: [{{{fields}}}]{spec and ', ' + spec}}}\n"
    )


def read(*documents: str) -> Manifest:
    return load(["-"], stdin=io.StringIO("---\n".join(documents)))


def tier(*documents: str, wish: Wish = "auto") -> Tier:
    """Of the first pod."""
    manifest = read(*documents)
    return isolation_for(manifest, wish).tier_of(manifest.pods[0].obj.spec)


def told(*documents: str, wish: Wish = "auto") -> list[str]:
    manifest = read(*documents)
    return [str(notice) for notice in remarks(manifest, isolation_for(manifest, wish))]


MOUNTED = pod("volumeMounts: [{name: v, mountPath: /v}]", "volumes: [{name: v, emptyDir: {}}]")
READ_ONLY = pod("securityContext: {readOnlyRootFilesystem: true}")
SHARED = pod(spec="shareProcessNamespace: true")
PORT = "ports: [{containerPort: 8080}]"


# ------------------------------------------------------------------ the least that is needed


def test_a_plain_pod_gets_plain_processes_and_no_word(machine: Machine) -> None:
    assert tier(pod()) == Tier("none", "")
    assert told(pod()) == []


@pytest.mark.parametrize(
    ("manifest", "why"),
    [
        (MOUNTED, "volumeMounts"),
        (READ_ONLY, "readOnlyRootFilesystem"),
        (pod("terminationMessagePath: /tmp/words"), "terminationMessagePath"),
        (pod(spec="hostAliases: [{ip: 127.0.0.1, hostnames: [a]}]"), "hostAliases"),
    ],
)
def test_what_needs_true_paths_gets_mounts(machine: Machine, manifest: str, why: str) -> None:
    """With the field that asked for it."""
    assert tier(manifest) == Tier("mounts", why)
    assert told(manifest)[0] == f"isolation: mounts ({why}) for Pod default/p"


def test_ids_that_only_a_user_namespace_can_show_get_mounts(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """runAsUser without root."""
    monkeypatch.setattr(security, "may_become", lambda identity: False)

    assert tier(pod("securityContext: {runAsUser: 54321}")) == Tier("mounts", "runAsUser")


def test_shared_processes_get_a_sandbox_on_the_hosts_network(machine: Machine) -> None:
    """Nothing asked to be cut off from it."""
    assert tier(SHARED) == Tier("pod", "shareProcessNamespace", own_network=False)


def test_a_port_in_two_pods_gets_each_a_network(machine: Machine) -> None:
    """Unless they use the host's anyway; then the clash is told."""
    other = pod(PORT, name="q")

    assert tier(pod(PORT)) == Tier("none", "")
    assert tier(pod(PORT), other) == Tier("pod", "port 8080/TCP in several pods", own_network=True)
    assert tier(pod(PORT, "hostNetwork: true"), other) == Tier("none", "")
    assert not any("keeps the others out" in text for text in told(pod(PORT), other))
    assert any("keeps the others out" in text for text in told(pod(PORT), other, wish="mounts"))


def test_pods_that_find_each_other_stay_in_one_network(machine: Machine) -> None:
    """A Service that selects pods is of no use to those who are cut off."""
    labelled = pod(PORT).replace("{name: p}", "{name: p, labels: {app: a}}")
    service = (
        "apiVersion: v1\nkind: Service\nmetadata: {name: s}\n"
        "spec: {selector: {app: a}, ports: [{port: 8080}]}\n"
    )

    assert tier(labelled, pod(PORT, name="q"), service).name != "pod"


def test_a_privileged_port_without_privilege_gets_a_network(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There everybody may listen on it."""
    low = pod("ports: [{containerPort: 80}]")

    assert tier(low) == Tier("none", "")
    monkeypatch.setattr(isolation, "is_privileged_port", lambda number: number < 1024)
    assert tier(low) == Tier("pod", "port 80/TCP without privilege", own_network=True)
    assert tier(pod(PORT)) == Tier("none", "")


# ------------------------------------------------------------------ as asked for


@pytest.mark.parametrize("wish", ["none", "mounts", "pod"])
def test_a_tier_that_was_asked_for_is_given_and_told(machine: Machine, wish: Wish) -> None:
    """To all pods."""
    chosen = tier(pod(), wish=wish)

    assert (chosen.name, chosen.why) == (wish, "as asked for")
    assert told(pod(), wish=wish)[0] == f"isolation: {wish} (as asked for) for Pod default/p"
    assert faults(read(pod()), ImageResolver(), isolation_for(read(pod()), wish)) == []


def test_asked_for_pods_have_their_own_network_unless_they_use_the_hosts(machine: Machine) -> None:
    """hostNetwork; and it is told what that means."""
    assert tier(pod(), wish="pod").own_network
    assert not tier(pod(spec="hostNetwork: true"), wish="pod").own_network
    assert any("a network of its own" in text for text in told(pod(), wish="pod"))


def test_without_mounts_what_needs_them_is_refused_with_the_way_out(machine: Machine) -> None:
    """--isolation none; a read-only root file system is only told about."""
    (fault,) = faults(read(MOUNTED), ImageResolver(), isolation_for(read(MOUNTED), "none"))

    assert fault.path == "spec.containers[0].volumeMounts[0].mountPath"
    assert fault.message == "--isolation none forbids it. Leave it out"
    assert faults(read(READ_ONLY), ImageResolver(), isolation_for(read(READ_ONLY), "none")) == []
    assert (
        "Pod default/p: securityContext.readOnlyRootFilesystem not honoured: --isolation none forbids it"
        in told(READ_ONLY, wish="none")
    )


# ------------------------------------------------------------------ machines that allow less


def test_where_there_are_no_mounts_auto_refuses_what_cannot_be(machine: Machine) -> None:
    """VOL-5, with what can be done about it; the rest runs and is told."""
    machine.mounts = MountSupport("none", "unshare: Operation not permitted")
    (fault,) = faults(read(MOUNTED), ImageResolver())

    assert "this machine allows no mount namespace (unshare: Operation not permitted)" in fault.message
    assert "apparmor" in fault.message
    assert any("readOnlyRootFilesystem not honoured" in text for text in told(READ_ONLY))


def test_where_there_are_no_sandboxes_auto_goes_without(machine: Machine) -> None:
    """With the reason; volumes are mounted all the same."""
    machine.sandbox_trouble = "mount /proc: Operation not permitted"
    both = MOUNTED.replace("containers:", "shareProcessNamespace: true, containers:")
    told_of_both = told(both)

    assert tier(both).name == "mounts"
    assert tier(SHARED).name == "none"
    assert (
        "Pod default/p: no pod sandbox, plain processes instead: shareProcessNamespace: "
        "this machine allows no pod sandbox (mount /proc: Operation not permitted)" in told_of_both
    )
    assert faults(read(both), ImageResolver()) == []


def test_a_sandbox_that_was_asked_for_is_refused_where_there_is_none(machine: Machine) -> None:
    """Whoever asks for it by name counts on it."""
    machine.sandbox_trouble = "mount /proc: Operation not permitted"
    (fault,) = faults(read(pod()), ImageResolver(), isolation_for(read(pod()), "pod"))

    assert fault.message.startswith("--isolation pod: mount /proc: Operation not permitted. ")


@pytest.mark.parametrize("document", [pod(), MOUNTED], ids=["plain", "with volumes"])
def test_mounts_that_were_asked_for_are_refused_where_there_are_none(machine: Machine, document: str) -> None:
    """Once for each pod, whether or not it needs them."""
    machine.mounts = MountSupport("none", "unshare: Operation not permitted")
    (fault,) = faults(read(document), ImageResolver(), isolation_for(read(document), "mounts"))

    assert fault.message.startswith("--isolation mounts: this machine allows no mount namespace (unshare: ")


def test_a_message_path_that_cannot_be_mounted_is_told(machine: Machine) -> None:
    """TMSG-1: the container may write its last words there, but to nobody."""
    machine.mounts = MountSupport("none", "unshare: Operation not permitted")

    assert (
        "Pod default/p: terminationMessagePath not honoured: "
        "this machine allows no mount namespace (unshare: Operation not permitted)"
        in told(pod("terminationMessagePath: /tmp/words"))
    )


# ------------------------------------------------------------------ dangers and limits


@pytest.mark.parametrize(
    ("script", "named"),
    [
        ("killall nginx", "killall"),
        ("while killall -0 nginx; do sleep 1; done", "killall"),
        ("/usr/bin/pkill -f server", "/usr/bin/pkill"),
        ("kill -1 -1", "kill -1 -1"),
        ("kill -s TERM -1", "kill -s TERM -1"),
        ("kill -9 -1; exit", "kill -9 -1"),
        ("kill -- -1", "kill -- -1"),
        ("kill -1 42", None),  # a hang-up
        ("kill -9 -123", None),
        ("kill 1", None),
        ("echo skillful pkill-like my-killall", None),
        ("echo hello", None),
    ],
)
def test_signals_to_everybody_are_a_danger(machine: Machine, script: str, named: str | None) -> None:
    """With the place, since plain processes are among all others of the user."""
    dangers = [text for text in told(pod(f"args: [-c, {script!r}]")) if "danger" in text]

    if named is None:
        assert dangers == []
    else:
        assert len(dangers) == 1
        assert dangers[0].startswith("<stdin>:4:")
        assert f"spec.containers[0].args: danger: `{named}` reaches every such process" in dangers[0]


def test_hooks_and_probes_are_looked_at_too(machine: Machine) -> None:
    """Whatever is executed."""
    hook = "lifecycle: {preStop: {exec: {command: [killall, nginx]}}}"
    probe = "livenessProbe: {exec: {command: [sh, -c, pkill -0 nginx]}}"
    dangers = " ".join(told(pod(f"{hook}, {probe}")))

    assert "spec.containers[0].lifecycle.preStop.exec.command: danger" in dangers
    assert "spec.containers[0].livenessProbe.exec.command: danger" in dangers


def test_in_a_sandbox_there_is_no_such_danger(machine: Machine) -> None:
    """Unless it has the host's processes."""
    assert not any("danger" in text for text in told(pod("args: [-c, killall x]"), wish="pod"))
    assert any("danger" in text for text in told(pod("args: [-c, killall x]", "hostPID: true"), wish="pod"))


def test_limits_that_nobody_keeps_are_told_once(machine: Machine) -> None:
    """LOCAL-5: one notice for the run, with the objects and the way out."""
    limited = "resources: {limits: {memory: 1Gi}}"
    (notice,) = told(pod(limited), pod(limited, name="q"))

    assert notice == (
        "Pod default/p, Pod default/q: resources.limits not enforced: nobody delegated anything; "
        + cgroups.ADVICE
    )
    machine.delegation = Delegation(cgroups.Path("/"), frozenset(("memory",)))
    assert told(pod(limited)) == []


def test_users_of_its_own_need_a_sandbox(machine: Machine) -> None:
    """hostUsers: false."""
    apart = pod(spec="hostUsers: false")

    assert any("hostUsers: false not honoured" in text for text in told(apart))
    assert not any("hostUsers" in text for text in told(apart, wish="pod"))
