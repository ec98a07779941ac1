"""ConfigMaps and Secrets that come, or change, after the start (STATUS-9, VOL-6, ENV-14)."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import trio

import minikubelet
from minikubelet.api.config import ConfigMap, Secret
from minikubelet.api.event import Event
from minikubelet.api.meta import ObjectMeta
from minikubelet.kubelet.kubelet import Observer
from minikubelet.runtime.configs import Configs
from minikubelet.runtime.mounts import mount_support
from minikubelet.session import LocalKubelet

WAITING = """
apiVersion: v1
kind: Pod
metadata: {name: p}
spec:
  restartPolicy: Never
  containers:
  - name: main
    image: busybox
    command: [sh, -c, "echo $WHO"]
    env: [{name: WHO, valueFrom: {configMapKeyRef: {name: settings, key: who}}}]
"""
MAP = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\n"


def settings_of(who: str, immutable: bool | None = None) -> ConfigMap:
    return ConfigMap(ObjectMeta(name="settings"), data={"who": who}, immutable=immutable)


class Folder:
    """Manifests on disk, and what is told about reading them again."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.notices: list[str] = []
        self.write("pod.yaml", WAITING)
        manifest = minikubelet.load([str(path)])
        self.configs = Configs.of(manifest, files=[str(path)], notice=self.notices.append)

    def write(self, name: str, text: str) -> None:
        """A new file in the place of the old one, as editors do it: no clock has to have moved."""
        (self.path / "new").write_text(text)
        os.replace(self.path / "new", self.path / name)

    @property
    def who(self) -> str | None:
        found = self.configs.config_map("default", "settings")
        return found.data["who"] if found else None


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def test_a_config_map_that_appears_in_the_directory_is_found(folder: Folder) -> None:
    """STATUS-9."""
    assert not folder.configs.refresh()
    folder.write("settings.yaml", f"{MAP}data: {{who: world}}")

    assert folder.configs.refresh()
    assert folder.who == "world"
    assert folder.notices == ["read again: ConfigMap default/settings is new"]


def test_a_config_map_that_is_added_to_a_file_is_found(tmp_path: Path) -> None:
    """STATUS-9."""
    file = tmp_path / "all.yaml"
    file.write_text(WAITING)
    configs = Configs.of(minikubelet.load([str(file)]), files=[str(file)])
    file.write_text(f"{WAITING}\n---\n{MAP}data: {{who: world}}")

    assert configs.refresh()
    assert configs.config_map("default", "settings") is not None


def test_what_has_not_changed_is_not_read_again(folder: Folder) -> None:
    """Two tries, one reading."""
    folder.write("settings.yaml", f"{MAP}data: {{who: world}}")

    assert [folder.configs.refresh() for _ in range(3)] == [True, False, False]


def test_a_change_is_taken_over(folder: Folder) -> None:
    """As `kubectl apply` of the same file would."""
    for who in ("world", "moon"):
        folder.write("settings.yaml", f"{MAP}data: {{who: {who}}}")
        folder.configs.refresh()

    assert folder.who == "moon"
    assert folder.notices[-1] == "read again: ConfigMap default/settings is changed"


def test_a_broken_file_is_told_once_and_changes_nothing(folder: Folder) -> None:
    """Nothing fatal: it is being edited."""
    folder.write("settings.yaml", f"{MAP}data: {{who: world}}")
    folder.configs.refresh()
    folder.write("settings.yaml", "data: [")

    assert not folder.configs.refresh()
    assert not folder.configs.refresh()
    assert folder.who == "world"
    [_, told] = folder.notices
    assert told.startswith(f"not read again: {folder.path}/settings.yaml:2:1: not valid YAML")


def test_what_is_gone_from_the_files_stays(folder: Folder) -> None:
    """Nor does `kubectl apply` delete; and a directory that is gone is told."""
    folder.write("settings.yaml", f"{MAP}data: {{who: world}}")
    folder.configs.refresh()
    (folder.path / "settings.yaml").unlink()
    (folder.path / "pod.yaml").unlink()

    assert not folder.configs.refresh()
    assert folder.who == "world"


def test_standard_input_is_not_read_again() -> None:
    """There is no more where that came from."""
    assert not Configs(files=["-"]).refresh()


def test_an_immutable_one_stays_as_it_is(folder: Folder) -> None:
    """`immutable: true`: the API server refuses the change; the same content again is none."""
    folder.configs.apply(settings_of("world", immutable=True))

    folder.configs.apply(settings_of("world", immutable=True))
    with pytest.raises(ValueError, match=r"^ConfigMap default/settings is immutable$"):
        folder.configs.apply(settings_of("moon"))
    folder.write("settings.yaml", f"{MAP}data: {{who: moon}}")
    assert not folder.configs.refresh()
    assert folder.who == "world"
    assert folder.notices == ["not taken over: ConfigMap default/settings is immutable"]


# ------------------------------------------------------------------ from Python


def run(tmp_path: Path, text: str, act: Callable[[LocalKubelet], None]) -> tuple[str, minikubelet.Kubelet]:
    """What the pod writes when `act` is called once it waits for its configuration."""
    file = tmp_path / "pod.yaml"
    file.write_text(text)
    output: list[bytes] = []

    async def main() -> minikubelet.Kubelet:
        async with minikubelet.open_kubelet(
            minikubelet.load([str(file)]),
            settings=minikubelet.LifecycleSettings(retry_delay=0.05),
            output=lambda pod, container, attempt, stream, chunk: output.append(chunk),
        ) as kubelet:
            events: list[str] = []
            kubelet.observers.append(Reasons(events))
            await kubelet.wait_until(lambda: "Failed" in events or "FailedMount" in events)
            act(kubelet)
            await kubelet.wait_until(lambda: kubelet.is_finished)
        return kubelet

    async def limited() -> minikubelet.Kubelet:
        with trio.fail_after(30):
            return await main()

    kubelet = trio.run(limited)
    return b"".join(output).decode(), kubelet


class Reasons(Observer):
    def __init__(self, reasons: list[str]) -> None:
        self.reasons = reasons

    def event(self, event: Event) -> None:
        self.reasons.append(event.reason)


def test_apply_heals_a_pod_that_waits_for_a_variable(tmp_path: Path) -> None:
    """STATUS-9: the container starts, and no failed start counts as an instance."""
    output, kubelet = run(tmp_path, WAITING, lambda kubelet: kubelet.apply(settings_of("world")))

    assert output == "world\n"
    status = kubelet.pod("default/p").status
    assert status is not None
    assert (status.phase, status.container_statuses[0].restart_count) == ("Succeeded", 0)


def test_apply_heals_a_pod_that_waits_for_a_volume(
    tmp_path: Path, require: Callable[[bool, str], None]
) -> None:
    """VOL-6: nothing was started before."""
    require(mount_support(tmp_path).kind != "none", "namespaces")
    text = (
        WAITING.split("    env:")[0].replace("echo $WHO", "cat /etc/late/key")
        + "    volumeMounts: [{name: v, mountPath: /etc/late}]\n"
        + "  volumes: [{name: v, secret: {secretName: late}}]\n"
    )
    secret = Secret(ObjectMeta(name="late"), data={"key": b"opened"})

    output, _ = run(tmp_path, text, lambda kubelet: kubelet.apply(secret))

    assert output == "opened"
