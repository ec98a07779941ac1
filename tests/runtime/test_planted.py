"""What containers plant where we look: symlinks, pipes, directories, files with two names, trees without end.

Nothing of it is followed, waited for, or stops the supervisor. No way leads out of the directory of a volume.
"""

import io
import os
import stat
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import attrs
import pytest
from every_user import as_every_user, as_root
from test_local import MOUNT, VOLUME, need_mounts, pod, run

from minikubelet.api.manifest import load
from minikubelet.api.pod import Container, Pod, VolumeMount
from minikubelet.runtime import volumes
from minikubelet.runtime.base import StartError
from minikubelet.runtime.hosts import write_hosts
from minikubelet.runtime.local import LocalRuntime
from minikubelet.runtime.logs import ContainerLog, log_path, remove_attempts, tail, tidy_rotated
from minikubelet.runtime.mounts import Mount, MountError, MountNamespace, MountPoints, mount_support
from minikubelet.runtime.planted import identity, open_beneath, open_regular
from minikubelet.runtime.removal import remove_tree
from minikubelet.runtime.termination_message import TerminationMessage

Plant = Callable[[Path, Path], None]
"""Puts something in the place of the first path that leads to the second, a file, or to nowhere."""


def symlink(place: Path, target: Path) -> None:
    place.symlink_to(target)


def pipe(place: Path, target: Path) -> None:
    os.mkfifo(place)


def directory(place: Path, target: Path) -> None:
    (place / "below").mkdir(parents=True)


def socket(place: Path, target: Path) -> None:
    os.mknod(place, stat.S_IFSOCK | 0o600)


PLANTS = pytest.mark.parametrize("plant", [symlink, pipe, directory, socket])


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """A file that is none of a container's business."""
    file = tmp_path / "target"
    file.write_text("precious")
    file.chmod(0o600)
    return file


def _pod(spec: str) -> Pod:
    text = f"apiVersion: v1\nkind: Pod\nmetadata: {{name: p}}\nspec: {{{spec}}}\n"
    return load(["-"], stdin=io.StringIO(text)).pods[0].obj


POD = _pod("containers: [{name: c}]")

# ------------------------------------------------------------------ opening


@PLANTS
@pytest.mark.parametrize("flags", [os.O_RDONLY, os.O_WRONLY | os.O_CREAT, os.O_RDWR | os.O_TRUNC])
def test_only_a_regular_file_is_opened(plant: Plant, flags: int, tmp_path: Path, target: Path) -> None:
    plant(tmp_path / "place", target)

    with pytest.raises(OSError):
        open_regular(tmp_path / "place", flags)
    assert target.read_text() == "precious"


def test_a_device_is_no_regular_file() -> None:
    with pytest.raises(OSError):
        open_regular("/dev/zero", os.O_RDONLY)


def test_a_way_down_makes_directories_of_the_mode_above(tmp_path: Path) -> None:
    tmp_path.chmod(0o717)

    os.close(open_beneath(tmp_path, ("a", "b"), make=True))

    assert stat.S_IMODE((tmp_path / "a" / "b").stat().st_mode) == 0o717


@pytest.mark.parametrize("names", [("link",), ("link", "below"), ("a", "link", "below")])
@pytest.mark.parametrize("make", [False, True])
def test_a_way_down_follows_no_symlink(names: tuple[str, ...], make: bool, tmp_path: Path) -> None:
    outside, root = tmp_path / "outside", tmp_path / "root"
    outside.mkdir()
    (root / "a").mkdir(parents=True)
    (root / "link").symlink_to(outside)
    (root / "a" / "link").symlink_to(outside)

    with pytest.raises(OSError):
        open_beneath(root, names, make=make)
    assert list(outside.iterdir()) == []


def test_ways_down_leave_no_descriptor(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("nowhere")
    before = os.listdir("/proc/self/fd")
    with pytest.raises(OSError):
        open_beneath(tmp_path, ("link", "below"))
    os.close(open_beneath(tmp_path, ("a", "b"), make=True))

    assert os.listdir("/proc/self/fd") == before


# ------------------------------------------------------------------ last words


@PLANTS
def test_tmsg_1_whatever_is_in_the_place_of_the_last_words_makes_room(
    plant: Plant, tmp_path: Path, target: Path
) -> None:
    words = TerminationMessage(tmp_path / "words", Container("c"))
    plant(words.file, target)

    words.renew()

    assert stat.S_ISREG(words.file.lstat().st_mode)
    assert stat.S_IMODE(words.file.stat().st_mode) == 0o666
    assert target.read_text() == "precious"


def test_tmsg_1_a_file_of_two_names_is_not_emptied(tmp_path: Path, target: Path) -> None:
    words = TerminationMessage(tmp_path / "words", Container("c"))
    os.link(target, words.file)

    words.renew()

    assert (target.read_text(), stat.S_IMODE(target.stat().st_mode)) == ("precious", 0o600)


@PLANTS
def test_tmsg_2_only_a_file_is_read_as_last_words(plant: Plant, tmp_path: Path, target: Path) -> None:
    words = TerminationMessage(tmp_path / "words", Container("c"))
    plant(words.file, target)

    assert words.read(0, "") is None


def test_tmsg_2_of_a_huge_file_the_end_is_read(tmp_path: Path) -> None:
    words = TerminationMessage(tmp_path / "words", Container("c"))
    with open(words.file, "wb") as file:
        file.truncate(1 << 40)
        file.seek(0, os.SEEK_END)
        file.write(b"end")

    message = words.read(0, "")

    assert message is not None
    assert (len(message), message[-3:]) == (4096, "end")


# ------------------------------------------------------------------ logs


@PLANTS
def test_log_1_what_is_planted_where_a_log_should_be_is_told_as_a_loss(
    plant: Plant, tmp_path: Path, target: Path
) -> None:
    told: list[str] = []
    plant(tmp_path / "3.log", target)
    log = ContainerLog(str(tmp_path), 3, on_loss=told.append)
    log.write("stdout", b"line\n")
    log.close()

    assert "output is being lost" in told[0]
    assert log.lost_bytes > 0
    assert target.read_text() == "precious"


def test_log_7_a_number_that_is_none_is_no_attempt(tmp_path: Path) -> None:
    for name in ("².log", "٣.log", f"{'9' * 200}.log", "1.log"):
        (tmp_path / name).touch()

    remove_attempts(str(tmp_path), 5)

    assert not (tmp_path / "1.log").exists()
    assert (tmp_path / "².log").exists()


@PLANTS
def test_tmsg_3_only_a_file_is_read_as_a_log(plant: Plant, tmp_path: Path, target: Path) -> None:
    plant(tmp_path / "0.log", target)

    assert tail(str(tmp_path / "0.log")) == ""


@PLANTS
def test_log_6_what_is_planted_among_rotated_files_is_not_copied(
    plant: Plant, tmp_path: Path, target: Path
) -> None:
    log = tmp_path / "0.log"
    plant(tmp_path / "0.log.20240101-000000", target)
    (tmp_path / "0.log.20240101-000001").write_text("newest")
    tidying = threading.Thread(target=tidy_rotated, args=(str(log), 5), daemon=True)
    tidying.start()
    tidying.join(30)

    assert not tidying.is_alive()
    assert not (tmp_path / "0.log.20240101-000000.gz").exists()
    assert target.read_text() == "precious"


def test_log_1_logs_are_private_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        log = ContainerLog(str(tmp_path / "pod" / "c"), 0)
        log.write("stdout", b"x\n")
        log.close()
    finally:
        os.umask(before)

    places = [tmp_path / "pod", tmp_path / "pod" / "c", Path(log_path(str(tmp_path / "pod" / "c"), 0))]
    assert [stat.S_IMODE(place.stat().st_mode) & 0o027 for place in places] == [0, 0, 0]


# ------------------------------------------------------------------ hosts


@PLANTS
def test_whatever_is_in_the_place_of_the_hosts_file_makes_room(
    plant: Plant, tmp_path: Path, target: Path
) -> None:
    plant(tmp_path / "hosts", target)

    write_hosts(tmp_path / "hosts", POD, "p", ())

    assert "127.0.0.1" in (tmp_path / "hosts").read_text()
    assert target.read_text() == "precious"


def test_a_hosts_file_stays_the_same_file(tmp_path: Path) -> None:
    """Containers have it mounted."""
    file = tmp_path / "hosts"
    write_hosts(file, POD, "a-name-that-is-long", ())
    before = identity(str(file))
    write_hosts(file, POD, "p", ())

    assert identity(str(file)) == before
    assert "a-name-that-is-long" not in file.read_text()


# ------------------------------------------------------------------ volumes


def sub_path(place: Path, path: str) -> Mount:
    manifest = "containers: [{name: c}], volumes: [{name: v, emptyDir: {}}]"
    subject = _pod(manifest)
    container = Container("c", volume_mounts=(VolumeMount("v", "/v", sub_path=path),))
    (mount,) = volumes.container_mounts(subject, container, {"v": place}, {})
    return mount


@pytest.mark.parametrize("link", ["../outside", "/etc", "a/../../outside", "../../../../../../../etc"])
@pytest.mark.parametrize("path", ["link", "link/below", "a/back/link"])
def test_vol_4_a_sub_path_does_not_leave_its_volume(link: str, path: str, tmp_path: Path) -> None:
    place = tmp_path / "volume"
    (place / "a").mkdir(parents=True)
    (tmp_path / "outside").mkdir()
    (place / "a" / "back").symlink_to("..")
    (place / "link").symlink_to(link)

    with pytest.raises(StartError) as caught:
        sub_path(place, path)
    assert "is not within the volume" in caught.value.message
    assert list((tmp_path / "outside").iterdir()) == []


def test_vol_4_what_a_sub_path_led_to_is_known(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")

    mount = sub_path(tmp_path, "link")

    assert (mount.source, mount.is_what) == (tmp_path / "real", identity(str(tmp_path / "real")))


@as_every_user
def test_vol_4_a_sub_path_that_becomes_a_symlink_is_not_mounted(directory: Path) -> None:
    """A container that runs already is quicker than we are (CVE-2017-1002101, CVE-2021-25741)."""
    need_mounts()
    volume, outside, target = directory / "volume", directory / "outside", directory / "target"
    for place in (volume / "sub", outside, target):
        place.mkdir(parents=True)
    checked = sub_path(volume, "sub")
    (volume / "sub").rmdir()
    (volume / "sub").symlink_to(outside)
    mount = Mount(checked.source, str(target), is_what=checked.is_what)

    with pytest.raises(MountError, match="has become something else"):
        MountNamespace.make([mount], directory, mount_support(directory))


@as_every_user
def test_vol_4_a_sub_path_that_stays_is_mounted(directory: Path) -> None:
    need_mounts()
    (directory / "volume" / "sub").mkdir(parents=True)
    (directory / "target").mkdir()
    checked = sub_path(directory / "volume", "sub")
    mount = Mount(checked.source, str(directory / "target"), is_what=checked.is_what)

    with MountNamespace.make([mount], directory, mount_support(directory)) as namespace:
        assert identity(str(namespace.host_path(mount.target))) == checked.is_what


def test_a_working_directory_is_not_made_in_what_became_something_else(tmp_path: Path) -> None:
    volume, outside = tmp_path / "volume", tmp_path / "outside"
    (volume / "sub").mkdir(parents=True)
    outside.mkdir()
    mount = sub_path(volume, "sub")
    (volume / "sub").rmdir()
    (volume / "sub").symlink_to(outside)

    volumes.make_working_dir("/v/work", [mount])

    assert list(outside.iterdir()) == []


@pytest.mark.parametrize("is_directory", [True, False])
def test_a_mount_point_is_not_made_where_a_planted_symlink_leads(is_directory: bool, tmp_path: Path) -> None:
    """An empty /etc/nologin would keep everybody out."""
    volume, outside, source = tmp_path / "volume", tmp_path / "outside", tmp_path / "source"
    volume.mkdir()
    outside.mkdir()
    source.mkdir() if is_directory else source.touch()
    (volume / "link").symlink_to(outside / "nologin")
    points = MountPoints(tmp_path / "points.json")
    data = tmp_path / "data"
    data.mkdir()

    with pytest.raises(MountError, match="out of the volume"):
        points.ensure("pod", [Mount(volume, str(data)), Mount(source, f"{data}/link")])
    assert list(outside.iterdir()) == []


def test_a_mount_point_is_made_where_a_symlink_of_the_volume_leads_inside(tmp_path: Path) -> None:
    volume, source, data = tmp_path / "volume", tmp_path / "source", tmp_path / "data"
    for place in (volume / "real", source, data):
        place.mkdir(parents=True)
    (volume / "link").symlink_to("real/made")

    MountPoints(tmp_path / "points.json").ensure(
        "pod", [Mount(volume, str(data)), Mount(source, f"{data}/link")]
    )

    assert (volume / "real" / "made").is_dir()


CLAIM = "volumes: [{name: v, persistentVolumeClaim: {claimName: data}}], securityContext: {fsGroup: %d}"


def test_fs_group_is_not_given_what_a_symlink_in_a_claim_leads_to(tmp_path: Path, target: Path) -> None:
    """Pods share a claim, so one may have prepared it for the next."""
    subject = _pod(f"containers: [{{name: c}}], {CLAIM % os.getegid()}")
    claim = tmp_path / "claims" / "default" / "data"
    (claim / "below").mkdir(parents=True)
    (claim / "below" / "link").symlink_to(target)
    (claim / "below" / "file").touch(0o600)

    volumes.prepare_volumes(subject, tmp_path / "pod", _Nothing(), None)  # type: ignore[arg-type]

    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert stat.S_IMODE((claim / "below" / "file").stat().st_mode) == 0o660


class _Nothing:
    """No ConfigMaps, no Secrets."""


@as_root
def test_fs_group_keeps_the_group_of_what_a_symlink_leads_to(directory: Path) -> None:
    subject = _pod(f"containers: [{{name: c}}], {CLAIM % 12345}")
    (directory / "target").touch()
    claim = directory / "claims" / "default" / "data"
    claim.mkdir(parents=True)
    (claim / "link").symlink_to(directory / "target")
    volumes.prepare_volumes(subject, directory / "pod", _Nothing(), None)  # type: ignore[arg-type]

    assert (directory / "target").stat().st_gid != 12345


# ------------------------------------------------------------------ removal


def test_removal_takes_a_file_a_symlink_and_nothing(tmp_path: Path, target: Path) -> None:
    (tmp_path / "link").symlink_to(target)
    (tmp_path / "file").touch()
    for name in ("link", "file", "nothing"):
        remove_tree(tmp_path / name)

    assert sorted(tmp_path.iterdir()) == [target]


def test_removal_follows_no_directory_that_has_become_a_symlink(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between looking and stepping in, a process that is left over may have changed it."""
    tree, outside = tmp_path / "tree", tmp_path / "outside"
    (tree / "below").mkdir(parents=True)
    outside.mkdir()
    (outside / "precious").touch()
    unlink = os.unlink

    def race(name: str, *, dir_fd: int | None = None) -> None:
        try:
            unlink(name, dir_fd=dir_fd)
        except IsADirectoryError:
            if name == "below":
                (tree / "below").rmdir()
                (tree / "below").symlink_to(outside)
            raise

    monkeypatch.setattr(os, "unlink", race)
    with pytest.raises(OSError):
        remove_tree(tree)

    assert (outside / "precious").exists()


@as_every_user
def test_term_14_nothing_that_a_container_leaves_keeps_its_directory(directory: Path) -> None:
    """Trees deeper than Python's stack and descriptors go, and directories that may not be looked into."""
    os.environ["TMPDIR"] = str(directory)
    told: list[str] = []
    runtime = LocalRuntime(notice=told.append)
    subject = attrs.evolve(POD, metadata=attrs.evolve(POD.metadata, uid="uid"))
    runtime.prepare_pod(subject)
    run_dir = Path(runtime.run_dir)
    (work := run_dir / "uid" / "c.work").mkdir()
    script = "mkdir -p $(printf 'd/%.0s' $(seq 1200)); mkdir -p locked/below; chmod 0 locked; ln -s / root"
    subprocess.run(["sh", "-c", script], cwd=work, check=True)
    runtime.remove_pod(subject)

    assert list(run_dir.glob("uid*")) == []
    runtime.close()
    assert (list(directory.iterdir()), told) == ([], [])


@as_every_user
def test_what_a_container_does_to_its_own_files_does_not_stop_the_next_instance(directory: Path) -> None:
    """It runs as we do, and finds its last words, its hosts file and its logs in the run directory."""
    os.environ["TMPDIR"] = str(directory)
    script = (
        f"home=$(echo {directory}/minikubelet-*/*-*-*-*-*)\n"
        'if [ -e "$PWD/again" ]; then exit 0; fi; touch "$PWD/again"\n'
        'rm -f "$home"/c.termination-log; mkfifo "$home"/c.termination-log\n'
        'rm -f "$home"/hosts; mkfifo "$home"/hosts\n'
        f'mkfifo "$(echo {directory}/minikubelet-*/logs/*/c)"/1.log || exit 7\nexit 1'
    )
    result = run(pod(script).replace("restartPolicy: Never", "restartPolicy: OnFailure"))

    assert (result.exit_code, result.status.restart_count) == (0, 1), result.output


@as_every_user
def test_a_volume_that_a_container_fills_with_traps_is_no_trap_for_its_sibling(directory: Path) -> None:
    """subPath is looked at when the sibling starts, after the init container has been there."""
    need_mounts()
    (directory / "outside").mkdir()
    init = (
        "initContainers: [{name: i, image: busybox, "
        f"command: [sh, -c, 'ln -s {directory}/outside /v/sub'], {MOUNT}}}]"
    )
    seen: list[str] = []

    async def wait(kubelet: object, result: object) -> None:
        def refused() -> bool:
            current = kubelet.pod("default/p")  # type: ignore[attr-defined]
            statuses = current.status.container_statuses if current.status is not None else ()
            seen.extend(s.state.waiting.message or "" for s in statuses if s.state.waiting is not None)
            return any("is not within the volume" in message for message in seen)

        await kubelet.wait_until(refused)  # type: ignore[attr-defined]

    mount = "volumeMounts: [{name: v, mountPath: /w, subPath: sub}]"
    run(pod("touch /w/planted", mount, f"{VOLUME}\n{init}"), act=wait)

    assert list((directory / "outside").iterdir()) == []
