"""`--pod-pids-limit`: what a kubelet's `podPidsLimit` does, in cgroups as far as files can play them."""

from pathlib import Path

import pytest

from minikubelet.cli.options import parser, run_options
from minikubelet.runtime import cgroups
from minikubelet.runtime.cgroups import Cgroup, Delegation, Limits
from minikubelet.runtime.feasibility import pids_limit_notices
from minikubelet.runtime.local import LocalRuntime


def test_it_is_off_unless_asked_for() -> None:
    """As on a node that sets none."""
    assert run_options(parser().parse_args(["run", "f"])).pod_pids_limit is None
    assert run_options(parser().parse_args(["run", "f", "--pod-pids-limit", "64"])).pod_pids_limit == 64


@pytest.mark.parametrize("text", ["0", "-1", "many", "1.5", "\u0664"])
def test_it_is_a_number_of_processes(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    """None at all would be no pod."""
    with pytest.raises(SystemExit):
        parser().parse_args(["run", "f", f"--pod-pids-limit={text}"])
    assert "is not a number of processes" in capsys.readouterr().err


def test_a_limit_that_cannot_be_kept_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """LOCAL-5."""
    monkeypatch.setattr(cgroups, "find_delegation", lambda: Delegation(Path("/"), frozenset(("memory",))))
    [notice] = pids_limit_notices(5)
    assert str(notice).startswith(
        "--pod-pids-limit not enforced: no pids controller has been delegated to us;"
    )

    monkeypatch.setattr(cgroups, "find_delegation", lambda: Delegation(Path("/"), frozenset(("pids",))))
    assert pids_limit_notices(5) == pids_limit_notices(None) == []


def test_a_pods_limit_lies_around_the_cgroups_of_its_containers(tmp_path: Path) -> None:
    """Processes may be in leaves only, so that every container has one; controllers are passed on to them."""
    of_pod = Cgroup.make(Delegation(tmp_path, frozenset(("pids", "memory"))), "uid", Limits(pids=50))
    assert of_pod is not None
    (of_pod.directory / "cgroup.controllers").write_text("pids memory")
    (of_pod.directory / "cgroup.subtree_control").write_text("")

    inner = of_pod.pass_on()
    (of_pod.directory / "cgroup.subtree_control").write_text("memory pids")
    inner = of_pod.pass_on() if not inner.controllers else inner
    limited = Cgroup.make(Delegation(inner.directory, frozenset(("memory",))), "a", Limits(memory=1000))
    unlimited = Cgroup.make(inner, "b", Limits(), even_if_idle=True)

    assert (of_pod.directory / "pids.max").read_text() == "50"
    assert inner.directory == of_pod.directory
    assert limited is not None and (limited.directory / "memory.max").read_text() == "1000"
    assert unlimited is not None and unlimited.directory.parent == of_pod.directory
    assert list(unlimited.directory.iterdir()) == []


def test_forks_that_failed_are_told_from_those_that_did_not(tmp_path: Path) -> None:
    """`pids.events`."""
    cgroup = Cgroup(tmp_path)
    assert not cgroup.ran_out_of_pids
    (tmp_path / "pids.events").write_text("max 0\n")
    assert not cgroup.ran_out_of_pids
    (tmp_path / "pids.events").write_text("max 3\n")
    assert cgroup.ran_out_of_pids


def test_a_run_goes_on_where_the_limit_cannot_be_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Never a refusal: a notice has said so."""
    from minikubelet.api.manifest import load

    monkeypatch.setattr(cgroups, "find_delegation", lambda: Delegation(reason="none"))
    file = tmp_path / "pod.yaml"
    file.write_text(
        "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\n"
        'spec: {containers: [{name: c, image: busybox, command: ["true"]}]}\n'
    )
    [pod] = load([str(file)]).pods
    runtime = LocalRuntime(pod_pids_limit=5)
    try:
        runtime.prepare_pod(pod.obj)
        runtime.start_container(pod.obj, pod.obj.spec.containers[0], 0, lambda end: None)
    finally:
        runtime.close()
