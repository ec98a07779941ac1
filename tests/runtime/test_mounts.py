"""Mounts at their true paths (VOL-5), as root and as an ordinary user.

Every test that makes a namespace runs in a child process, once as root (where the tests run as root) and
once as an unprivileged user, so that both ways are looked at on one machine.
"""

import ctypes
import functools
import os
import signal
import stat
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import attrs
import every_user
import pytest
from every_user import NOBODY, Unsupported, run_in_child
from hypothesis import given
from hypothesis import strategies as st

from minikubelet.runtime import mounts
from minikubelet.runtime.mounts import (
    ADVICE,
    Mount,
    MountError,
    MountNamespace,
    MountPoints,
    MountSupport,
    cannot_honour,
    hiding_mount,
    honourable_without_namespace,
    mount_support,
    was_executed,
)
from minikubelet.runtime.security import Security
from minikubelet.runtime.spawn import User

CLONE_NEWNS = 0x20000
libc = ctypes.CDLL(None, use_errno=True)

ENVIRONMENT = {"PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "spring.profile": "test", "A": "b c"}


@attrs.frozen
class Machine:
    """What a test has of the machine: a directory of its own and a volume in it."""

    directory: Path
    support: MountSupport

    @property
    def pod_directory(self) -> Path:
        return self._made("pod")

    @property
    def volume(self) -> Path:
        """A volume with one file."""
        volume = self._made("volume")
        (volume / "file").write_text("content")
        return volume

    @property
    def target(self) -> Path:
        return self._made("target")

    def _made(self, name: str) -> Path:
        path = self.directory / name
        path.mkdir(exist_ok=True)
        return path

    def make(self, *wanted: Mount) -> MountNamespace:
        return MountNamespace.make(wanted, self.pod_directory, self.support)

    def output(self, *argv: str, mounts: Sequence[Mount], cwd: str = "/") -> str:
        with self.make(*mounts) as namespace:
            return run(namespace, *argv, cwd=cwd)


def run(namespace: MountNamespace, *argv: str, cwd: str = "/") -> str:
    done = subprocess.run(
        namespace.command(argv, cwd),
        env=ENVIRONMENT,
        text=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=True,
    )
    return done.stdout


def shell(namespace: MountNamespace, script: str, *args: str) -> str:
    return run(namespace, "sh", "-c", script, "sh", *args)


def _on_a_machine(test: Callable[[Machine], None]) -> Callable[[Path], None]:
    @functools.wraps(test)
    def wrapper(directory: Path) -> None:
        support = mount_support(directory)
        kind = "root" if os.geteuid() == 0 else "user"
        if support.kind != kind:
            raise Unsupported(f"namespaces (for mounts, as {kind})")
        test(Machine(directory, support))

    return wrapper


def as_every_user(test: Callable[[Machine], None]) -> Callable[..., None]:
    return every_user.as_every_user(_on_a_machine(test))


def as_root(test: Callable[[Machine], None]) -> Callable[..., None]:
    return every_user.as_root(_on_a_machine(test))


def as_user(test: Callable[[Machine], None]) -> Callable[..., None]:
    return every_user.as_user(_on_a_machine(test))


# ------------------------------------------------------------------ where mounts appear


@as_every_user
def test_vol_5_a_volume_is_at_its_mount_path(machine: Machine) -> None:
    """Both ways: the container sees the volume, the volume gets what the container writes."""
    target = machine.target
    with machine.make(Mount(machine.volume, str(target))) as namespace:
        seen = shell(namespace, 'cat "$1/file"; echo new > "$1/written"', str(target))

    assert seen == "content"
    assert (machine.volume / "written").read_text() == "new\n"
    assert os.listdir(target) == []


@as_every_user
def test_a_mount_path_missing_in_the_root_directory(machine: Machine) -> None:
    """The container gets a root with all that the host's has, and the mount point; the host gets nothing."""
    with machine.make(Mount(machine.volume, "/mk-data/deep")) as namespace:
        names = run(namespace, "ls", "-A", "/").split("\n")[:-1]
        seen = shell(
            namespace, 'cat /mk-data/deep/file /proc/sys/kernel/ostype; echo > "$1/note"', str(machine.target)
        )

    assert sorted(names) == sorted([*os.listdir("/"), "mk-data"])
    assert seen == "contentLinux\n"
    assert os.listdir(machine.target) == ["note"]
    assert not Path("/mk-data").exists()


@as_every_user
def test_a_mount_path_missing_in_a_directory_of_the_system(machine: Machine) -> None:
    """Even where the tools lie that make the mounts; links, files and directories stay what they are."""
    for parent in ("/etc", "/usr", "/usr/bin", "/var/lib"):
        mounts = [Mount(machine.volume, f"{parent}/mk-new/deep")]
        with machine.make(*mounts) as namespace:
            names = run(namespace, "ls", "-A", parent).split("\n")[:-1]
            seen = run(namespace, "cat", f"{parent}/mk-new/deep/file")
            links = run(namespace, "find", parent, "-maxdepth", "1", "-type", "l", "-printf", "%f %l\n")

        assert sorted(names) == sorted([*os.listdir(parent), "mk-new"])
        assert seen == "content"
        on_host = (entry for entry in os.scandir(parent) if entry.is_symlink())
        assert sorted(links.splitlines()) == sorted(f"{e.name} {os.readlink(e.path)}" for e in on_host)


@as_every_user
def test_several_mount_paths_missing_at_once(machine: Machine) -> None:
    paths = ["/mk-a", "/mk-b", "/etc/mk-c", "/var/lib/mk-d", str(machine.directory / "mk-e")]
    with machine.make(*(Mount(machine.volume, path) for path in paths)) as namespace:
        assert run(namespace, "cat", *(f"{path}/file" for path in paths)) == "content" * len(paths)


@as_user
def test_the_container_gains_no_place_to_write_by_a_mount_path_that_was_missing(machine: Machine) -> None:
    with machine.make(Mount(machine.volume, "/mk-data"), Mount(machine.volume, "/etc/mk-data")) as namespace:
        said = shell(namespace, "for d in / /etc; do test -w $d || echo $d is not writable; done")

    assert said == "/ is not writable\n/etc is not writable\n"


@as_every_user
def test_a_mount_inside_a_mount(machine: Machine) -> None:
    """The missing mount point is made in the outer volume, as container runtimes do."""
    inner = machine.directory / "inner"
    inner.mkdir()
    (inner / "file").write_text("inner")
    target = str(machine.target)
    wanted = [Mount(machine.volume, target), Mount(inner, f"{target}/a/b")]
    MountPoints(machine.directory / "record").ensure("u", wanted)

    assert machine.output("cat", f"{target}/file", f"{target}/a/b/file", mounts=wanted) == "contentinner"


@as_user
def test_a_mount_inside_a_volume_that_is_not_ours(machine: Machine) -> None:
    target = str(machine.target)
    wanted = [Mount(Path("/etc"), target), Mount(machine.volume, f"{target}/mk-new")]

    assert MountPoints(machine.directory / "record").ensure("u", wanted) == []
    assert machine.output("cat", f"{target}/mk-new/file", f"{target}/passwd", mounts=wanted) == (
        "content" + Path("/etc/passwd").read_text()
    )


@as_every_user
def test_a_single_file_over_a_file_and_where_there_is_none(machine: Machine) -> None:
    file = machine.volume / "file"
    wanted = [Mount(file, "/etc/passwd"), Mount(file, "/etc/mk-new")]

    assert machine.output("cat", "/etc/passwd", "/etc/mk-new", mounts=wanted) == "contentcontent"


@as_every_user
def test_a_mount_path_through_symlinks(machine: Machine) -> None:
    """Absolute links mean the container's own paths."""
    (machine.directory / "link").symlink_to(machine.target)
    wanted = [Mount(machine.volume, str(machine.directory / "link"))]

    assert machine.output("cat", f"{machine.target}/file", mounts=wanted) == "content"


@as_every_user
def test_a_mount_over_the_directory_that_volumes_lie_in(machine: Machine) -> None:
    """As an emptyDir at /tmp does when the volumes are below /tmp; nested and missing paths included."""
    other = machine.directory / "other"
    (other / "below").mkdir(parents=True)
    cover = str(machine.directory)
    wanted = [Mount(other, cover), Mount(machine.volume, f"{cover}/below")]
    for missing in ([], ["/mk-data"]):
        more = [Mount(machine.volume, target) for target in missing]
        with machine.make(*wanted, *more) as namespace:
            assert run(namespace, "cat", *(f"{m.target}/file" for m in (*wanted[1:], *more))) == (
                "content" * (1 + len(more))
            )
            assert run(namespace, "ls", cover) == "below\n"


@as_every_user
def test_a_mount_path_in_the_pod_s_own_directory(machine: Machine) -> None:
    target = machine.pod_directory / "target"
    target.mkdir()
    wanted = [
        Mount(machine.volume, "/mk-data"),
        Mount(machine.volume, str(target)),
        Mount(machine.volume, "/etc/mk"),
    ]
    for some in (wanted, wanted[1:], wanted[1:2]):
        assert machine.output("cat", f"{target}/file", mounts=some) == "content"


@as_every_user
def test_names_may_contain_anything(machine: Machine) -> None:
    names = [
        "a b",
        "tab\there",
        "line\nbreak",
        "back\\slash\\040",
        "it's",
        '"quoted"',
        "a,b",
        "#hash",
        "-dash",
        "ü",
    ]
    wanted = []
    for name in names:
        source, target = machine.directory / "odd" / name, machine.target / name
        source.mkdir(parents=True)
        target.mkdir()
        (source / "file").write_text(name)
        wanted.append(Mount(source, str(target)))
    wanted.append(Mount(machine.volume, "/mk-it's a\nplace"))

    seen = machine.output("cat", *(f"{m.target}/file" for m in wanted), mounts=wanted)
    assert seen == "".join(names) + "content"


@as_every_user
def test_nothing_changes_outside(machine: Machine) -> None:
    """Inside no trace of how it was done; outside no mount, no file, no process, no descriptor."""
    before = Path("/proc/self/mountinfo").read_text(), os.listdir("/proc/self/fd")
    with machine.make(
        Mount(machine.volume, "/mk-data"), Mount(machine.volume, str(machine.target))
    ) as namespace:
        assert shell(namespace, "grep -c minikubelet-host /proc/self/mountinfo || :") == "0\n"
        assert run(namespace, "ls", "-A", str(machine.pod_directory)) == ""

    assert (Path("/proc/self/mountinfo").read_text(), os.listdir("/proc/self/fd")) == before
    assert os.listdir(machine.pod_directory) == []
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


@as_every_user
def test_a_source_that_is_not_there_is_an_error(machine: Machine) -> None:
    with pytest.raises(MountError, match="does not exist"):
        machine.make(Mount(machine.directory / "missing", str(machine.target)))

    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


# ------------------------------------------------------------------ readOnly


@as_every_user
def test_vol_5_read_only_is_per_mount(machine: Machine) -> None:
    writable = machine.directory / "writable"
    writable.mkdir()
    wanted = [
        Mount(machine.volume, str(machine.target), read_only=True),
        Mount(machine.volume, str(writable)),
    ]
    with machine.make(*wanted) as namespace:
        said = shell(namespace, 'touch "$1/x" 2>&1; touch "$2/y"', str(machine.target), str(writable))

    assert "Read-only file system" in said
    assert sorted(os.listdir(machine.volume)) == ["file", "y"]


@as_every_user
def test_a_host_path_can_be_read_only_at_its_own_place(machine: Machine) -> None:
    volume = str(machine.volume)
    with machine.make(Mount(machine.volume, volume, read_only=True)) as namespace:
        assert "Read-only file system" in shell(namespace, 'touch "$1/x" 2>&1 || :', volume)


@as_root
def test_read_only_keeps_flags_that_a_user_may_not_clear(machine: Machine) -> None:
    """mount_namespaces(7): in a user namespace the kernel refuses a remount without them."""
    _own_mount_namespace()
    _mount("-t", "tmpfs", "-o", "nosuid,nodev,noexec,noatime,mode=0777", "x", str(machine.volume))
    for directory in (machine.directory, machine.pod_directory, machine.target):
        os.chown(directory, NOBODY, NOBODY)
    as_nobody = attrs.evolve(machine, support=MountSupport("user"))

    def body() -> str:
        wanted = Mount(machine.volume, str(machine.target), read_only=True)
        return as_nobody.output("findmnt", "-no", "VFS-OPTIONS", str(machine.target), mounts=[wanted])

    assert run_in_child(body, drop_privileges=True) == "ro,nosuid,nodev,noexec,noatime\n"


@as_root
def test_recursive_read_only_reaches_what_is_mounted_below(machine: Machine) -> None:
    _own_mount_namespace()
    (machine.volume / "below").mkdir()
    _mount("-t", "tmpfs", "x", str(machine.volume / "below"))
    for recursive in (False, True):
        wanted = Mount(machine.volume, str(machine.target), read_only=True, recursive=recursive)
        with machine.make(wanted) as namespace:
            said = shell(namespace, 'touch "$1/below/x" 2>&1 || :', str(machine.target))

        assert ("Read-only file system" in said) == recursive


@as_root
def test_mount_propagation_host_to_container(machine: Machine) -> None:
    _own_mount_namespace()
    (machine.volume / "later").mkdir()
    _mount("--bind", str(machine.volume), str(machine.volume))
    _mount("--make-shared", str(machine.volume))
    for follows in (False, True):
        with machine.make(Mount(machine.volume, str(machine.target), follows_host=follows)) as namespace:
            _mount("-t", "tmpfs", "x", str(machine.volume / "later"))
            (machine.volume / "later/file").touch()
            seen = run(namespace, "ls", f"{machine.target}/later")
            subprocess.run(["umount", machine.volume / "later"], check=True)

        assert seen == ("file\n" if follows else "")


def _own_mount_namespace() -> None:
    assert libc.unshare(CLONE_NEWNS) == 0
    _mount("--make-rprivate", "/")


def _mount(*args: str) -> None:
    subprocess.run(["mount", *args], check=True)


# ------------------------------------------------------------------ the program inside


@as_every_user
def test_the_program_is_the_spawned_process(machine: Machine) -> None:
    with machine.make(Mount(machine.volume, str(machine.target))) as namespace:
        process = subprocess.Popen(
            namespace.command(["sh", "-c", "echo $$"], "/"), stdout=subprocess.PIPE, text=True
        )

        assert process.communicate()[0] == f"{process.pid}\n"


@as_every_user
def test_signals_and_exit_codes_are_the_program_s_own(machine: Machine) -> None:
    script = "trap 'exit 7' TERM; echo up; while :; do sleep 0.02; done"
    with machine.make(Mount(machine.volume, str(machine.target))) as namespace:
        command = namespace.command(["sh", "-c", script], "/")
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "up\n"
            process.terminate()
            assert process.wait() == 7

        command = namespace.command(["sh", "-c", "kill -USR1 $$"], "/")
        assert subprocess.run(command, check=False).returncode == -signal.SIGUSR1


@as_every_user
def test_env_12_the_environment_passes_unchanged(machine: Machine) -> None:
    """Names that no shell would pass on included."""
    seen = machine.output("cat", "/proc/self/environ", mounts=[Mount(machine.volume, "/mk-data")])

    assert dict(entry.split("=", 1) for entry in seen.rstrip("\0").split("\0")) == ENVIRONMENT


@as_every_user
def test_the_program_inherits_no_descriptor(machine: Machine) -> None:
    """But its streams; the fourth is the directory that ls reads."""
    seen = machine.output("ls", "/proc/self/fd", mounts=[Mount(machine.volume, "/mk-data")])

    assert set(seen.split()) <= {"0", "1", "2", "3"} | _inherited_anyway()


def _inherited_anyway() -> set[str]:
    """What the test run itself was started with."""
    done = subprocess.run(
        ["ls", "/proc/self/fd"], close_fds=False, capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


@as_user
def test_the_program_has_the_caller_s_uid_and_no_capabilities(machine: Machine) -> None:
    with machine.make(Mount(machine.volume, "/mk-data")) as namespace:
        status = dict(
            line.split(":\t", 1) for line in run(namespace, "cat", "/proc/self/status").splitlines()
        )

    assert status["Uid"].split() == [str(os.geteuid())] * 4
    assert status["Gid"].split() == [str(os.getegid())] * 4
    assert {int(status[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapAmb")} == {0}


@as_root
def test_local_6_the_program_can_run_as_another_user(machine: Machine) -> None:
    with machine.make(Mount(machine.volume, "/mk-data")) as namespace:
        seen = []
        for user in (User(1234, 2345), User(1234, 2345, (3456, 4567))):
            command = namespace.command(["cat", "/proc/self/status"], "/", Security(user).setpriv)
            status = subprocess.run(command, capture_output=True, text=True, check=True).stdout
            fields = dict(line.split(":\t", 1) for line in status.splitlines())
            seen.append((fields["Uid"].split()[0], fields["Gid"].split()[0], fields["Groups"].split()))
            assert int(fields["CapEff"], 16) == 0

    assert seen == [("1234", "2345", []), ("1234", "2345", ["3456", "4567"])]


@as_every_user
def test_the_working_directory_is_inside(machine: Machine) -> None:
    (machine.volume / "link").symlink_to("/mk-data/deep")
    (machine.volume / "deep").mkdir()
    wanted = [Mount(machine.volume, "/mk-data")]

    for cwd in ("/mk-data/deep", "/mk-data/link", "/mk-data/deep/../link"):
        assert machine.output("/bin/pwd", mounts=wanted, cwd=cwd) == "/mk-data/deep\n"


@as_every_user
def test_a_working_directory_that_is_not_there_is_an_error(machine: Machine) -> None:
    with machine.make(Mount(machine.volume, "/mk-data")) as namespace:
        with pytest.raises(FileNotFoundError):
            namespace.command(["true"], "/mk-data/missing")
        with pytest.raises(NotADirectoryError):
            namespace.command(["true"], "/mk-data/file")


@as_every_user
def test_hooks_and_probes_see_what_the_container_sees(machine: Machine) -> None:
    """Whenever they come: the namespace is complete before the container is started."""
    with machine.make(Mount(machine.volume, "/mk-data")) as namespace:
        command = namespace.command(["sh", "-c", "readlink /proc/self/ns/mnt; read -r _ || :"], "/")
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as container:
            assert container.stdout is not None
            inside = container.stdout.readline()
            hook = run(namespace, "readlink", "/proc/self/ns/mnt")

    assert hook == inside
    assert hook.strip() != os.readlink("/proc/self/ns/mnt")


@as_every_user
def test_the_host_can_look_at_paths_inside(machine: Machine) -> None:
    """For the termination message, say."""
    with machine.make(Mount(machine.volume, "/mk-data")) as namespace:
        assert namespace.host_path("/mk-data/file").read_text() == "content"


# ------------------------------------------------------------------ programs that cannot be executed


@as_every_user
def test_local_3_a_program_is_found_inside(machine: Machine) -> None:
    program = machine.volume / "tool"
    program.write_text("#!/bin/sh\necho ran\n")
    program.chmod(0o755)
    with machine.make(Mount(machine.volume, "/mk-data")) as namespace:
        assert namespace.find_program("tool", "/usr/bin:/mk-data", "/") == "/mk-data/tool"
        assert namespace.find_program("./tool", "", "/mk-data") == "/mk-data/tool"
        assert run(namespace, "/mk-data/tool") == "ran\n"


@as_every_user
def test_local_3_what_execve_would_refuse_is_known_before(machine: Machine) -> None:
    for name, content, mode in (
        ("plain", "echo no interpreter line", 0o755),
        ("orphan", "#!/mk/no/such/interpreter\n", 0o755),
        ("document", "#!/bin/sh\n", 0o644),
    ):
        (machine.volume / name).write_text(content)
        (machine.volume / name).chmod(mode)
    with machine.make(Mount(machine.volume, "/mk-data")) as namespace:
        for name, error in (
            ("missing", "No such file"),
            ("/mk-data/missing", "No such file"),
            ("/mk-data/file/x", "Not a directory"),
            ("/mk-data", "Permission denied"),
            ("document", "Permission denied"),
            ("plain", "Exec format error"),
            ("orphan", "No such file"),
        ):
            with pytest.raises(OSError, match=error):
                namespace.find_program(name, "/usr/bin:/mk-data", "/")


@as_every_user
def test_local_3_a_helper_that_could_not_execute_is_no_program_that_said_127(machine: Machine) -> None:
    executed = []
    with machine.make(Mount(machine.volume, "/mk-data")) as namespace:
        for argv in (["/mk/missing"], ["sh", "-c", "exit 127"]):
            with subprocess.Popen(namespace.command(argv, "/"), stderr=subprocess.DEVNULL) as process:
                os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
                executed.append(was_executed(process.pid))
            assert process.returncode == 127

    assert executed == [False, True]


# ------------------------------------------------------------------ without namespaces


def test_what_a_machine_does_not_allow_is_found_out_and_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(name: str) -> str:
        raise MountError(f"{name} is not installed")

    monkeypatch.setattr(mounts, "find_tool", missing)
    support = mount_support.__wrapped__(tmp_path)
    message = cannot_honour(Mount(tmp_path, "/data"), support.reason)

    assert support.kind == "none"
    assert "unshare is not installed" in message
    assert "/data" in message
    assert "kernel.apparmor_restrict_unprivileged_userns" in ADVICE
    assert os.listdir(tmp_path) == []


def test_vol_5_a_mount_that_needs_no_namespace(tmp_path: Path) -> None:
    place, link = tmp_path / "place", tmp_path / "link"
    place.mkdir()
    link.symlink_to(place)

    assert honourable_without_namespace(Mount(place, str(place)))
    assert honourable_without_namespace(Mount(place, str(link)))
    assert not honourable_without_namespace(Mount(place, str(tmp_path)))
    assert not honourable_without_namespace(Mount(place, str(tmp_path / "missing")))
    assert not honourable_without_namespace(Mount(place, str(place), read_only=True))


# ------------------------------------------------------------------ mount points on the host


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    (tmp_path / "volume").mkdir()
    return tmp_path / "volume"


def test_mount_points_are_made_and_removed(tmp_path: Path, volume: Path) -> None:
    (volume / "file").touch()
    points = MountPoints(tmp_path / "record")
    wanted = [Mount(volume, str(tmp_path / "a/b")), Mount(volume / "file", str(tmp_path / "a/c/file"))]

    made = points.ensure("u", wanted)
    assert made == [str(tmp_path / name) for name in ("a", "a/b", "a/c", "a/c/file")]
    assert stat.S_ISREG((tmp_path / "a/c/file").stat().st_mode)

    points.release("u")
    assert not (tmp_path / "a").exists()


def test_a_mount_point_that_somebody_put_something_in_stays(tmp_path: Path, volume: Path) -> None:
    points = MountPoints(tmp_path / "record")
    points.ensure("u", [Mount(volume, str(tmp_path / "a")), Mount(volume, str(tmp_path / "b"))])
    (tmp_path / "a/something").touch()

    points.release("u")

    assert (tmp_path / "a/something").exists()
    assert not (tmp_path / "b").exists()


def test_a_mount_point_that_was_there_stays(tmp_path: Path, volume: Path) -> None:
    (tmp_path / "a").mkdir()
    points = MountPoints(tmp_path / "record")

    assert points.ensure("u", [Mount(volume, str(tmp_path / "a"))]) == []
    points.release("u")
    assert (tmp_path / "a").is_dir()


def test_a_mount_point_goes_with_the_last_pod_that_uses_it(tmp_path: Path, volume: Path) -> None:
    points = MountPoints(tmp_path / "record")
    points.ensure("one", [Mount(volume, str(tmp_path / "a/b"))])
    points.ensure("two", [Mount(volume, str(tmp_path / "a/b"))])

    points.release("one")
    assert (tmp_path / "a/b").is_dir()

    points.release("two")
    assert not (tmp_path / "a").exists()


def test_after_a_crash_a_later_run_cleans_up(tmp_path: Path, volume: Path) -> None:
    MountPoints(tmp_path / "record").ensure("u", [Mount(volume, str(tmp_path / "a"))])

    later = MountPoints(tmp_path / "record")
    assert later.owners == {"u"}
    later.release("u")

    assert not (tmp_path / "a").exists()
    assert not (tmp_path / "record").exists()


def test_what_cannot_be_made_is_an_error(tmp_path: Path, volume: Path) -> None:
    (tmp_path / "a").symlink_to("a")

    with pytest.raises(MountError, match="symbolic links"):
        MountPoints(tmp_path / "record").ensure("u", [Mount(volume, str(tmp_path / "a/b"))])


@as_user
def test_nothing_is_made_where_we_may_not_write(machine: Machine) -> None:
    points = MountPoints(machine.directory / "record")

    assert points.ensure("u", [Mount(machine.volume, "/mk-data"), Mount(machine.volume, "/etc/mk/x")]) == []


@as_every_user
def test_a_mount_point_in_use_by_others_stays(machine: Machine) -> None:
    """Removing it would take their mount away: rmdir(2) spares only mounts of the caller's namespace."""
    points = MountPoints(machine.directory / "record")
    wanted = Mount(machine.volume, str(machine.directory / "shared"))
    points.ensure("u", [wanted])
    with machine.make(wanted) as namespace:
        command = namespace.command(
            ["sh", "-c", "echo up; read -r _; cat shared/file"], str(machine.directory)
        )
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
            assert other.stdout is not None
            assert other.stdout.readline() == "up\n"
            points.release("u")
            assert other.communicate("\n")[0] == "content"

    assert Path(wanted.target).is_dir()


# ------------------------------------------------------------------ paths


@given(st.lists(st.sampled_from(["d", "f", "up", "abs", "loop", "dangling", "new", "..", "."]), max_size=8))
def test_without_mounts_a_path_leads_where_the_system_says(names: list[str]) -> None:
    with tempfile.TemporaryDirectory() as made:
        top = os.path.realpath(made)
        os.makedirs(f"{top}/d/d")
        Path(top, "f").touch()
        for place, link in (
            ("up", "d/.."),
            ("d/abs", f"{top}/d"),
            ("abs", f"{top}/d/d"),
            ("dangling", "nowhere"),
        ):
            os.symlink(link, f"{top}/{place}")
        path = "/".join([top, *names])

        assert mounts._View().find(path) == (os.path.realpath(path), os.path.realpath(path))


def test_with_mounts_a_path_leads_to_the_source(tmp_path: Path) -> None:
    view = mounts._View()
    (tmp_path / "v").mkdir()
    (tmp_path / "v/link").symlink_to("/mk/x")
    view.bind("/mk", tmp_path / "v")

    assert view.find("/mk/a/b") == ("/mk/a/b", str(tmp_path / "v/a/b"))
    assert view.find("/mk/link/y") == ("/mk/x/y", str(tmp_path / "v/x/y"))
    assert view.find("/mk/../mk2") == ("/mk2", "/mk2")


def test_a_mount_hides_what_lies_below_it() -> None:
    """Not itself, nor what merely begins alike; the nearest one counts."""
    wanted = [Mount(Path("/"), target) for target in ("/tmp", "/tmp/a", "/tmp/a/b", "/tmp/abc")]

    assert hiding_mount("/tmp/a/b/c", wanted) == "/tmp/a/b"
    assert hiding_mount("/tmp/abcd", wanted) == "/tmp"
    assert hiding_mount("/var/tmp", wanted) is None
    assert hiding_mount("/tmp", wanted) is None


@as_every_user
def test_a_read_only_root_leaves_the_mounts_as_they_are(machine: Machine) -> None:
    """readOnlyRootFilesystem: all that is mounted becomes read-only, but for what the container asked for."""
    wanted = [Mount(machine.volume, str(machine.target))]
    with MountNamespace.make(
        wanted, machine.pod_directory, machine.support, read_only_root=True
    ) as namespace:
        script = "for p in / /tmp /dev/shm $1; do test -w $p && echo $p; done; :"
        writable = shell(namespace, script, str(machine.target)).split()

    assert writable == ["/dev/shm", str(machine.target)]


@as_user
def test_a_user_namespace_shows_other_ids(machine: Machine) -> None:
    """runAsUser and runAsGroup without root."""
    seen_as = (1234, 2345)
    with MountNamespace.make([], machine.pod_directory, machine.support, seen_as=seen_as) as namespace:
        assert shell(namespace, "id -u; id -g").split() == ["1234", "2345"]
