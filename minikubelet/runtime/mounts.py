"""Every mount at its true `mountPath`, in a mount namespace that the container's processes enter.

Responsible for making that namespace, for entering it, for mount points that do not exist, and for saying
what to do where the machine allows no namespace. Refuses to know pods and volumes: it is given `Mount`s.

The one idea: a namespace is made by a short-lived helper (`unshare`, then `mount`), kept alive by file
descriptors, and entered with `nsenter`, which executes the program in place. No shell ever stands between
minikubelet and the program (a shell would drop environment variables such as `spring.profile` and add
`PWD`), set-up trouble is an exception before anything was started, and a restart, a hook or a probe costs
one `nsenter`. As root the namespace is a mount namespace alone; otherwise it comes with a user namespace in
which the caller keeps its uid and the program has no capabilities (root that may not mount on the host has
those of the user namespace). In a user namespace setuid programs such as sudo have no effect, and files of
other users appear to belong to nobody.
"""

import errno
import json
import os
import select
import shlex
import shutil
import signal
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Literal

from minikubelet.api.values import Factory, define, field, frozen
from minikubelet.runtime.planted import Identity, identity, open_beneath
from minikubelet.runtime.run_directory import make_locked


@frozen
class Mount:
    """`source` on the host appears at `target`, an absolute and normal path, inside the container."""

    source: Path
    target: str
    read_only: bool = False
    recursive: bool = False
    "`read_only` holds for what is mounted below `source` too (`recursiveReadOnly`)."
    follows_host: bool = False
    "What the host mounts below `source` later shows up (`mountPropagation: HostToContainer`)."
    is_what: Identity | None = None
    "What `source` has to be still when it has been mounted, where containers could put something else there."


class MountError(Exception):
    """A namespace with these mounts cannot be made."""


# ------------------------------------------------------------------ what this machine allows


@frozen
class MountSupport:
    kind: Literal["root", "user", "none"]
    reason: str = ""
    "Why it is `none`."


ADVICE = """\
Any one of these makes namespaces possible:
- Ubuntu 23.10 and later: allow it to unshare(1) with an AppArmor profile, /etc/apparmor.d/unshare:
    abi <abi/4.0>,
    include <tunables/global>
    profile unshare /usr/bin/unshare flags=(unconfined) { userns, }
  and `sudo systemctl reload apparmor`;
- or lift the restriction for everyone: `sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0`;
- where user namespaces are switched off: `sudo sysctl user.max_user_namespaces=10000`;
- in a container: run it with CAP_SYS_ADMIN, or with a seccomp profile that allows unshare and mount;
- run minikubelet as root.
Or do without: a hostPath volume at its own path needs none."""


@cache
def mount_support(directory: Path) -> MountSupport:
    """Find out by doing: bind a file's directory elsewhere and look for the file from inside.

    Costs a few milliseconds, once. `directory` must be writable; nothing stays in it.
    """
    kinds: tuple[Literal["root", "user"], ...] = ("root", "user") if os.geteuid() == 0 else ("user",)
    reasons = []
    place, lock = make_locked(str(directory))
    try:
        for kind in kinds:
            try:
                _look_inside(Path(place), MountSupport(kind))
            except MountError as error:
                reasons.append(str(error))
            else:
                return MountSupport(kind)
    finally:
        shutil.rmtree(place)
        os.close(lock)
    return MountSupport("none", "; ".join(reasons))


def _look_inside(place: Path, support: MountSupport) -> None:
    source, target = place / "source", place / "target"
    for directory in (source, target):
        directory.mkdir(exist_ok=True)
    (source / "mark").touch()
    with MountNamespace.make([Mount(source, str(target))], place, support) as namespace:
        code, output = _run(namespace.command(["/bin/sh", "-c", 'test -e "$0"', f"{target}/mark"], "/"))
    if code != 0:
        raise MountError(output or f"a bind mount was not visible (status {code})")


def honourable_without_namespace(mount: Mount) -> bool:
    """VOL-5: True when `target` already is `source`, the same path or a symlink to it."""
    return not mount.read_only and os.path.realpath(mount.target) == os.path.realpath(mount.source)


def cannot_honour(mount: Mount, why: str) -> str:
    """Why a mount is refused where there is no namespace, in one line; `ADVICE` says what to do about it."""
    return f'cannot mount at "{mount.target}": {why}'


def hiding_mount(path: str, mounts: Iterable[Mount]) -> str | None:
    """The target that a container finds where `path` would be, if one of the mounts hides it."""
    targets = [mount.target for mount in mounts if path != mount.target and _is_below(path, mount.target)]
    return max(targets, key=len, default=None)


# ------------------------------------------------------------------ the namespace


@define(eq=False)
class MountNamespace:
    """A mount namespace with the mounts in place. It lives until `close` and the end of all who entered.

    The mounts do not depend on the instance, so restarts of a container share it as long as its `mounts`
    are equal.
    """

    mounts: tuple[Mount, ...]
    _mnt: int
    _root: int
    _user: int | None = None
    _closed: bool = field(default=False, init=False)

    @classmethod
    def make(
        cls,
        mounts: Sequence[Mount],
        directory: Path,
        support: MountSupport,
        *,
        read_only_root: bool = False,
        seen_as: tuple[int, int] | None = None,
        spawn_helper: "SpawnHelper | None" = None,
    ) -> "MountNamespace":
        """Make the namespace; blocks for about 3 ms plus what unusual mounts cost.

        `mounts` in the order they are made, parents first. `directory` has room for a mount point that is
        needed meanwhile. With `read_only_root` nothing but the mounts and what lies below /dev, /proc and
        /sys can be written. `seen_as` is the uid and gid under which our own appear inside; without it
        they stay what they are. `spawn_helper` starts what makes the mounts, with other namespaces or rights
        than ours. Raises `MountError` with the text of the tool that failed.
        """
        assert support.kind != "none"
        slave = any(mount.follows_host for mount in mounts)
        with _Script(directory) as script:
            try:
                _arrange(script, mounts)
            except OSError as error:
                raise MountError(str(error)) from error
            if read_only_root:
                script.make_read_only()
            with _Helper(
                [
                    find_tool("unshare"),
                    *(_user_namespace(seen_as) if support.kind == "user" else []),
                    "--mount",
                    f"--propagation={'slave' if slave else 'private'}",
                    *("--", "/bin/sh", "-c", script.text()),
                ],
                script.tables,
                spawn_helper or _spawn,
            ) as helper:
                helper.wait_until_ready()
                if read_only_root:
                    places = _writable_places(helper.pid, mounts)
                    script.choose_read_only(_remount_read_only(helper.pid, place) for place in places)
                    helper.go_on()
                    helper.wait_until_ready()
                    _check_read_only(helper.pid, places)
                _check_identities(helper.pid, mounts)
                opened: list[int] = []
                try:
                    opened.append(os.open(f"/proc/{helper.pid}/ns/mnt", os.O_RDONLY))
                    opened.append(os.open(f"/proc/{helper.pid}/root", os.O_PATH))
                    if support.kind == "user":
                        opened.append(os.open(f"/proc/{helper.pid}/ns/user", os.O_RDONLY))
                except OSError as error:
                    for fd in opened:
                        os.close(fd)
                    raise MountError(f"the mount namespace cannot be held: {error}") from error
        return cls(tuple(mounts), *opened)

    def __enter__(self) -> "MountNamespace":
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    @property
    def fd(self) -> int:
        """Of the namespace, for setns(2)."""
        return self._mnt

    def close(self) -> None:
        """Harmless when it is closed already."""
        if not self._closed:
            self._closed = True
            for fd in (self._mnt, self._root, self._user):
                if fd is not None:
                    os.close(fd)

    def command(self, argv: Sequence[str], working_dir: str, become: Sequence[str] = ()) -> list[str]:
        """The command line that executes `argv` inside, in the spawned process itself.

        Signals and exit codes are the program's own; the environment passes unchanged. `become` is the
        command that changes ids or privileges and executes `argv` then. Raises `OSError` when `working_dir`
        is no directory inside. The line works while this process runs and the namespace is not closed.
        """
        inside, there = self._find(working_dir)
        if not stat.S_ISDIR(os.stat(there).st_mode):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), working_dir)
        held = f"/proc/{os.getpid()}/fd"
        enter_user = (
            ["--preserve-credentials", f"--user={held}/{self._user}"] if self._user is not None else []
        )
        return [
            find_tool("nsenter"),
            *enter_user,
            f"--mount={held}/{self._mnt}",
            # Opened before entering, but through the root held here, so it lies inside.
            f"--wd={held}/{self._root}{inside}",
            "--",
            *become,
            *argv,
        ]

    def host_path(self, path: str) -> Path:
        """Where this process reaches what the container sees as `path`; it need not exist."""
        return Path(self._find(path)[1])

    def find_program(self, name: str, search_path: str, working_dir: str) -> str:
        """The absolute path inside of the program that executing `name` would run.

        Raises the `OSError` that execve(2) would give, before anything is started (LOCAL-3): not found,
        not executable, no such interpreter, exec format error.
        """
        return find_program(name, search_path, working_dir, self._locate)

    def _find(self, path: str) -> tuple[str, str]:
        return _walk(path, self._locate)

    def _locate(self, inside: str) -> str:
        return f"/proc/self/fd/{self._root}{inside}"


def find_program(
    name: str, search_path: str, working_dir: str, locate: Callable[[str], str] = lambda inside: inside
) -> str:
    """What `MountNamespace.find_program` does, for wherever `locate` says that paths lie."""
    if "/" in name:
        return _check_program(os.path.join(working_dir, name), locate)
    failure: OSError = FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), name)
    for entry in search_path.split(":"):
        try:
            return _check_program(os.path.join(working_dir, entry, name), locate)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except PermissionError as error:
            failure = error  # execvp(3): remembered, reported if nothing better turns up
    raise failure


def _check_program(path: str, locate: Callable[[str], str], depth: int = 0) -> str:
    def fail(number: int) -> OSError:
        return OSError(number, os.strerror(number), path)

    inside, there = _walk(path, locate)
    if not stat.S_ISREG(os.stat(there).st_mode) or not os.access(there, os.X_OK, effective_ids=True):
        raise fail(errno.EACCES)
    try:
        with open(there, "rb") as program:
            head = program.read(256)
    except PermissionError:
        return inside  # it may be executed all the same
    if head.startswith(b"#!"):
        if depth == 5:  # BINPRM recursion limit of the kernel
            raise fail(errno.ELOOP)
        words = head[2:].split(b"\n")[0].split()
        if not words:
            raise fail(errno.ENOEXEC)
        _check_program(os.fsdecode(words[0]), locate, depth + 1)
    elif not head.startswith(b"\x7fELF") and not _has_other_binary_formats():
        # nsenter would hand it to /bin/sh, as execvp(3) does; a container runtime does not.
        raise fail(errno.ENOEXEC)
    return inside


def was_executed(pid: int) -> bool:
    """False when a process started with `MountNamespace.command` is, or died as, the helper still.

    For what `find_program` cannot foresee (LOCAL-3): asked about a process that ended with 126 or 127 and
    is not reaped yet, it tells the helper's failure to execute from the program's own exit code, because
    the kernel renames a process only when an execve succeeds.
    """
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip() not in ("nsenter", "setpriv")
    except OSError:
        return True


# ------------------------------------------------------------------ arranging the mounts


@define
class _Region:
    """The part of the tree where new mount points lie on one mount, or on the root: made as one step."""

    shadows: dict[str, str] = Factory(dict)
    "Directories, and where they are on the host, that we may not write to but must add an entry to."
    directories: list[str] = Factory(list)
    files: list[str] = Factory(list)
    binds: list[tuple[str, Mount]] = Factory(list)
    "Targets with symlinks resolved, so that they mean the same whoever looks."
    inner: "list[_Region]" = Factory(list)


def _arrange(script: "_Script", mounts: Sequence[Mount]) -> None:
    """Write the commands that make `mounts`.

    A missing mount point in a directory that we may not write to is added by shadowing the directory: a
    tmpfs with the directory's entries bound in, and the mount point. If that directory is `/`, the tmpfs
    becomes a new root. Whenever something might be hidden that a later bind still needs (a shadowed
    directory, the pod's own directory under a mounted `/tmp`), the view of the host as it was is held as
    the working directory of the script, and sources are relative to it.
    """
    top = _plan(mounts)
    if "/" in top.shadows:
        script.new_root()
    elif top.shadows or any(r.shadows for r in _inner(top)) or _hides_a_source(top, mounts):
        script.hold_host()
    script.make(top)
    script.release_host()


def _plan(mounts: Sequence[Mount]) -> _Region:
    view = _View()
    regions = {"/": _Region()}
    made: set[str] = set()
    for mount in mounts:
        inside, host = view.find(mount.target)
        region = regions[_deepest(inside, regions)]
        if inside not in made and not os.path.exists(host):
            ancestor = os.path.dirname(inside)
            while ancestor not in made and not os.path.isdir(view.locate(ancestor)):
                ancestor = os.path.dirname(ancestor)
            if ancestor not in made:
                # Writable or not: this runs after MountPoints.ensure, so what could be made is there.
                regions[_deepest(ancestor, regions)].shadows[ancestor] = view.locate(ancestor)
            is_directory = mount.source.is_dir()
            (region.directories if is_directory else region.files).append(inside)
            if not is_directory:
                region.directories.append(os.path.dirname(inside))
            made.update(_prefixes(inside, below=ancestor))
        region.binds.append((inside, mount))
        regions[inside] = _Region()
        region.inner.append(regions[inside])
        view.bind(inside, mount.source)
    return regions["/"]


def _inner(region: _Region) -> Iterator[_Region]:
    for inner in region.inner:
        yield inner
        yield from _inner(inner)


def _hides_a_source(top: _Region, mounts: Sequence[Mount]) -> bool:
    return any(
        mount is not other and _is_below(os.path.realpath(other.source), target)
        for target, mount in top.binds
        for other in mounts
    )


class _Script:
    """Shell commands, and the tables that `mount --all` reads: one process makes any number of mounts.

    Sources are relative to the working directory, which is `/` or the held view of the host.
    """

    def __init__(self, directory: Path) -> None:
        # A mount point of its own, so that no target lies below it.
        self._mount_point = f"{os.path.realpath(directory)}/.stage"
        self._stage = f".{self._mount_point}"
        self._held = False
        self._new_root = False
        # Trouble ends the script before it says `ready`; nothing but its output is looked at.
        self._lines = ["set -e", "umask 022", "cd /"]
        self.tables: list[int] = []

    def __enter__(self) -> "_Script":
        return self

    def __exit__(self, *exc: object) -> None:
        for fd in self.tables:
            os.close(fd)
        if self._held:
            os.rmdir(self._mount_point)

    def text(self) -> str:
        return "\n".join([*self._lines, "echo ready", "read -r _ || :"])

    def make_read_only(self) -> None:
        """Wait for `choose_read_only`; only from outside can be seen what is mounted by now."""
        self._lines += ["echo ready", "read -r _"]
        fd = self._new_table()
        self._run(*_MOUNT, "--all", "--fstab", f"/proc/self/fd/{fd}", or_else=":")

    def choose_read_only(self, rows: Iterable[tuple[str, str, str]]) -> None:
        os.write(self.tables[-1], _table(rows))

    def new_root(self) -> None:
        self._hold()
        self._new_root = True
        self._stage_shadow("/")
        self._run("cd", self._stage)
        self._run("mkdir", _HOST)
        self._run("pivot_root", ".", _HOST)
        self._run("cd", f"/{_HOST}")

    def hold_host(self) -> None:
        self._hold()
        self._run(*_MOUNT, "--rbind", "/", self._mount_point)
        self._run("cd", self._mount_point)

    def _hold(self) -> None:
        os.makedirs(self._mount_point, exist_ok=True)
        self._held = True

    def release_host(self) -> None:
        """Best effort: umount(8) itself may lie under a mount by now, and the view does no harm."""
        if self._held:
            self._run("umount", "--no-mtab", "--no-canonicalize", "--lazy", ".", or_else=":")
        if self._new_root:
            self._run("cd", "/")
            self._run("rmdir", _HOST, or_else=":")

    def make(self, region: _Region) -> None:
        for shadowed in sorted(region.shadows, key=_depth):
            if shadowed != "/":
                self._stage_shadow(region.shadows[shadowed])
                self._run(*_MOUNT, "--move", self._stage, shadowed)
        if region.directories:
            self._run("mkdir", "-p", "--", *region.directories)
        if region.files:
            self._run("touch", "--", *region.files)
        self._mount_all(
            (str(mount.source.resolve()), target, _options(mount)) for target, mount in region.binds
        )
        for target, mount in region.binds:
            if mount.read_only and mount.recursive:
                self._mount_all(_remounts_below(mount.source, target))
        for inner in region.inner:
            self.make(inner)

    def _stage_shadow(self, host: str) -> None:
        """A tmpfs with the entries of a directory; staged elsewhere, for it may hold the tools used here."""
        # Unbindable, or binding an entry that contains the stage would copy the stage into itself.
        self._run(*_MOUNT, *_SHADOW, "--make-unbindable", self._stage)
        directories: list[str] = []
        files: list[str] = []
        links: list[str] = []
        try:
            with os.scandir(host) as entries:
                for entry in entries:
                    kind = links if entry.is_symlink() else directories if entry.is_dir() else files
                    kind.append(entry.name)
        except PermissionError:
            pass  # what we cannot list we could not have opened by name either, but for a guess
        host = host.rstrip("/")
        if directories:
            self._run("mkdir", "--", *(f"{self._stage}/{name}" for name in directories))
        if files:
            self._run("touch", "--", *(f"{self._stage}/{name}" for name in files))
        if links:
            self._run("cp", "-P", "--", *(f".{host}/{name}" for name in links), self._stage)
        # An entry that has just gone, or that we may not look at, is no reason to fail.
        self._mount_all(
            ((f"{host}/{name}", f"{self._stage}/{name}", "rbind") for name in directories + files),
            or_else=":",
        )

    def _mount_all(self, rows: Iterable[tuple[str, str, str]], or_else: str = "") -> None:
        if table := _table(rows):
            fd = self._new_table()
            os.write(fd, table)
            self._run(*_MOUNT, "--all", "--fstab", f"/proc/self/fd/{fd}", or_else=or_else)

    def _new_table(self) -> int:
        fd = os.memfd_create("mounts", 0)  # inherited by the helper
        self.tables.append(fd)
        return fd

    def _run(self, *argv: str, or_else: str = "") -> None:
        self._lines.append(shlex.join(argv) + (f" || {or_else}" if or_else else ""))


_HOST = ".minikubelet-host"
_MOUNT = ("mount", "--no-mtab", "--no-canonicalize")  # no table of the host's, and not the host's paths
_SHADOW = ("-t", "tmpfs", "-o", "mode=0555", "shadow")


def _table(rows: Iterable[tuple[str, str, str]]) -> bytes:
    """fstab(5)."""
    lines = (f".{_escape(source)} {_escape(target)} none {options} 0 0\n" for source, target, options in rows)
    return os.fsencode("".join(lines))


def _remounts_below(source: Path, target: str) -> Iterator[tuple[str, str, str]]:
    """Kernels before 5.12 cannot do this in one call, so each mount below is visited."""
    real = os.path.realpath(source)
    for below in _mount_points("self"):
        if below != real and _is_below(below, real):
            yield "", target + below.removeprefix(real.rstrip("/")), f"remount,bind,ro{_locked(below)}"


_KERNEL_PLACES = ("/dev", "/proc", "/sys")
"""A read-only root file system has these all the same: container runtimes mount their own there."""


def _writable_places(pid: int, mounts: Sequence[Mount]) -> list[str]:
    """What has to become read-only in the namespace of a process: all but its `mounts`."""
    stay = [*_KERNEL_PLACES, *(_walk(mount.target, _root_of(pid))[0] for mount in mounts)]
    places = dict.fromkeys(_mount_points(str(pid)))
    return [place for place in places if not any(_is_below(place, other) for other in stay)]


def _remount_read_only(pid: int, place: str) -> tuple[str, str, str]:
    target = place if place != "/" else "/."  # which `mount --all` passes over by its plain name
    try:
        return "", target, f"remount,bind,ro{_locked(_root_of(pid)(place))}"
    except OSError:  # hidden by now, or not for us to see: then neither for those inside
        return "", target, "remount,bind,ro"


def _check_read_only(pid: int, places: Iterable[str]) -> None:
    """Trouble with a mount that is hidden is none, so what counts is what can be seen."""
    for place in places:
        try:
            flags = os.statvfs(_root_of(pid)(place)).f_flag
        except OSError:
            continue
        if not flags & os.ST_RDONLY:
            raise MountError(f"{place} cannot be made read-only")


def _check_identities(pid: int, mounts: Iterable[Mount]) -> None:
    """Sources are mounted by their paths, and a container may have changed where those lead."""
    for mount in mounts:
        if mount.is_what is not None:
            try:
                found = identity(_walk(mount.target, _root_of(pid))[1])
            except OSError as error:
                raise MountError(f"{mount.target} cannot be looked at: {error.strerror}") from error
            if found != mount.is_what:
                raise MountError(f"{mount.source} has become something else while it was mounted")


def _root_of(pid: int) -> Callable[[str], str]:
    return lambda inside: f"/proc/{pid}/root{inside}"


def _user_namespace(seen_as: tuple[int, int] | None) -> list[str]:
    """The options of unshare(1). Capabilities are kept for the mounts; the program will have none."""
    if seen_as is None:
        return ["--user", "--map-current-user", "--keep-caps"]
    uid, gid = seen_as
    return ["--user", f"--map-user={uid}", f"--map-group={gid}", "--keep-caps"]


def _options(mount: Mount) -> str:
    # rbind, as container runtimes do; a user namespace may not even bind without what is mounted below.
    return f"rbind,ro{_locked(mount.source)}" if mount.read_only else "rbind"


def _locked(path: Path | str) -> str:
    """The flags that a remount in a user namespace must repeat (mount_namespaces(7))."""
    flags = os.statvfs(path).f_flag
    names = {
        os.ST_NOSUID: "nosuid",
        os.ST_NODEV: "nodev",
        os.ST_NOEXEC: "noexec",
        os.ST_NOATIME: "noatime",
        os.ST_NODIRATIME: "nodiratime",
        os.ST_RELATIME: "relatime",
    }
    return "".join(f",{name}" for flag, name in names.items() if flags & flag)


def _escape(path: str) -> str:
    for character in "\\ \t\n":
        path = path.replace(character, f"\\{ord(character):03o}")
    return path


# ------------------------------------------------------------------ helper processes


SpawnHelper = Callable[[Sequence[str], int, int, Sequence[int]], int]
"""Starts a child of ours with the given words, stdin, stdout, and further descriptors; its pid."""


class _Helper:
    """A process that says `ready` and waits until it is let go."""

    def __init__(self, argv: Sequence[str], fds: Sequence[int], spawn: SpawnHelper) -> None:
        stdin, self._let_go = os.pipe()
        self._output, stdout = os.pipe()
        try:
            self.pid = spawn(argv, stdin, stdout, fds)
        except BaseException:
            os.close(self._let_go)
            os.close(self._output)
            raise
        finally:
            os.close(stdin)
            os.close(stdout)

    def __enter__(self) -> "_Helper":
        return self

    def __exit__(self, *exc: object) -> None:
        os.close(self._let_go)
        os.close(self._output)
        os.waitpid(self.pid, 0)

    def go_on(self) -> None:
        os.write(self._let_go, b"\n")

    def wait_until_ready(self, timeout_seconds: float = 10) -> None:
        said = b""
        poll = select.poll()
        poll.register(self._output, select.POLLIN)
        while not said.endswith(b"ready\n"):
            if not poll.poll(timeout_seconds * 1000):
                os.kill(self.pid, signal.SIGKILL)
                raise MountError(f"making the mounts took longer than {timeout_seconds:g} seconds")
            chunk = os.read(self._output, 65536)
            if not chunk:
                text = said.decode(errors="replace").strip()
                raise MountError(text.replace("\n", "; ") or "unshare ended without a word")
            said += chunk


def _run(argv: Sequence[str]) -> tuple[int, str]:
    output, stdout = os.pipe()
    with open(os.devnull) as null, open(output, errors="replace") as reader:
        try:
            pid = _spawn(argv, null.fileno(), stdout, ())
        finally:
            os.close(stdout)
        said = reader.read().strip()
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), said


def _spawn(argv: Sequence[str], stdin: int, stdout: int, fds: Sequence[int]) -> int:
    # Not the container's environment: its LD_PRELOAD is not for our tools.
    environment = {"PATH": ":".join(_search_path()), "LC_ALL": "C"}
    streams = [(os.POSIX_SPAWN_DUP2, fd, n) for n, fd in enumerate((stdin, stdout, stdout))]
    return os.posix_spawn(argv[0], list(argv), environment, file_actions=streams, setpgroup=0)


def _search_path() -> list[str]:
    return [*filter(os.path.isabs, os.get_exec_path()), "/usr/sbin", "/usr/bin", "/sbin", "/bin"]


@cache
def find_tool(name: str) -> str:
    for directory in _search_path():
        if os.access(path := os.path.join(directory, name), os.X_OK):
            return path
    raise MountError(f"{name} (util-linux) is not installed")


def _has_other_binary_formats() -> bool:
    try:
        return bool(set(os.listdir("/proc/sys/fs/binfmt_misc")) - {"register", "status"})
    except OSError:
        return False


# ------------------------------------------------------------------ paths as the container sees them


class _View:
    """Where paths inside lie on the host, given the mounts so far, before there is a namespace to look at."""

    def __init__(self) -> None:
        self._bound: dict[str, str] = {"/": "/"}

    def find(self, path: str) -> tuple[str, str]:
        return _walk(path, self.locate)

    def check_stays(self, path: str, inside: str) -> None:
        """Raises `MountError` if `path` leads to `inside` by a symlink in a volume that points out of it:
        what is made there would be made on the host, and a container may have chosen the place."""
        passed: set[str] = set()

        def locate(step: str) -> str:
            passed.add(_deepest(step, self._bound))
            return self.locate(step)

        _walk(path, locate)
        for volume in passed:
            if not _is_below(inside, volume):
                raise MountError(f"a symlink leads {path} out of the volume at {volume}")

    def bind(self, inside: str, source: Path) -> None:
        self._bound[inside] = os.path.realpath(source)

    def locate(self, inside: str) -> str:
        at = _deepest(inside, self._bound)
        rest = inside.removeprefix(at).lstrip("/")
        return os.path.join(self._bound[at], rest) if rest else self._bound[at]


def _walk(path: str, locate: Callable[[str], str]) -> tuple[str, str]:
    """`path` with every symlink followed as the container would, and where `locate` says that is."""
    inside = "/"
    pending = path.split("/")[::-1]
    links = 0
    while pending:
        name = pending.pop()
        if name in ("", "."):
            continue
        if name == "..":
            inside = os.path.dirname(inside)
            continue
        step = os.path.join(inside, name)
        try:
            link = os.readlink(locate(step))
        except OSError:  # no symlink, not there, or not for us to see: the path goes on as it is
            inside = step
            continue
        links += 1
        if links > 40:  # path_resolution(7)
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
        pending.extend(link.split("/")[::-1])
        if link.startswith("/"):
            inside = "/"
    return inside, locate(inside)


def _deepest(path: str, among: Iterable[str]) -> str:
    return max((other for other in among if _is_below(path, other)), key=len)


def _is_below(path: str, ancestor: str) -> bool:
    """Or the same."""
    return path == ancestor or path.startswith(ancestor.rstrip("/") + "/")


def _depth(path: str) -> int:
    return len(path.split("/")) if path != "/" else 0


def _prefixes(path: str, below: str) -> list[str]:
    """`path` and its ancestors, outermost first, as far as they are below `below`."""
    found = []
    while path != below:
        found.append(path)
        path = os.path.dirname(path)
    return found[::-1]


# ------------------------------------------------------------------ mount points on the host


class MountPoints:
    """Mount points that were missing and could simply be made, each with the pods that use it.

    They go when their last pod goes, if they are still empty. What was made is written to `record` first,
    so that a later run with the same record can clean up after a crash: whoever is in `owners` then and is
    not running any more is to be released.
    """

    def __init__(self, record: Path) -> None:
        self._record = record
        self._made: dict[str, list[str]] = {}
        try:
            self._made.update(json.loads(record.read_text()))
        except (FileNotFoundError, ValueError):
            pass  # nothing was ever made, or the machine died while it was written down

    @property
    def owners(self) -> frozenset[str]:
        return frozenset(self._made)

    def ensure(self, owner: str, mounts: Sequence[Mount]) -> list[str]:
        """Make what is missing below directories that we may write to; returns what was made.

        What stays missing is added inside the namespace by `MountNamespace.make`. Raises `MountError`.
        """
        made = []
        view = _View()
        for mount in mounts:
            try:
                inside, host = view.find(mount.target)
                if not os.path.exists(host):
                    view.check_stays(mount.target, inside)
                made += self._ensure(owner, host, mount.source.is_dir())
            except OSError as error:
                raise MountError(f"cannot make mount point {mount.target}: {error}") from error
            view.bind(inside, mount.source)
        return made

    def _ensure(self, owner: str, host: str, is_directory: bool) -> list[str]:
        missing = []
        while not os.path.exists(host):
            missing.append(host)
            host = os.path.dirname(host)
        if not (os.path.isdir(host) and os.access(host, os.W_OK | os.X_OK, effective_ids=True)):
            missing = []
        known = set().union(*self._made.values())
        self._note(owner, [*(path for path in _prefixes(host, below="/") if path in known), *missing[::-1]])
        if missing:
            parent = open_beneath("/", host.split("/")[1:] if host != "/" else ())
            try:
                _make_mount_point(parent, [os.path.basename(path) for path in missing[::-1]], is_directory)
            finally:
                os.close(parent)
        return missing[::-1]

    def release(self, owner: str) -> None:
        """Remove what only `owner` used, if it is empty. To be called when its processes are gone."""
        paths = self._made.pop(owner, None)
        if paths is None:
            return
        used = set().union(*self._made.values(), _mount_points_elsewhere())
        for path in sorted(paths, key=_depth, reverse=True):
            if path not in used:
                _remove_if_empty(path)
        self._save()

    def _note(self, owner: str, paths: Iterable[str]) -> None:
        mine = self._made.get(owner, [])
        if added := [path for path in paths if path not in mine]:
            self._made[owner] = mine + added
            self._save()

    def _save(self) -> None:
        if not self._made:
            self._record.unlink(missing_ok=True)
            return
        written = self._record.with_name(f".{self._record.name}.new")
        written.write_text(json.dumps(self._made))
        os.replace(written, self._record)


def _make_mount_point(parent: int, names: Sequence[str], is_directory: bool) -> None:
    """`parent` is a descriptor; a symlink that appears just now is not followed."""
    name, *below = names
    if not below and not is_directory:
        os.close(
            os.open(name, os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o644, dir_fd=parent)
        )
        return
    try:
        os.mkdir(name, 0o755, dir_fd=parent)
    except FileExistsError:
        pass  # somebody may just have been faster
    if below:
        made = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
        try:
            _make_mount_point(made, below, is_directory)
        finally:
            os.close(made)


def _remove_if_empty(path: str) -> None:
    try:
        found = os.lstat(path)
        if stat.S_ISDIR(found.st_mode):
            os.rmdir(path)
        elif stat.S_ISREG(found.st_mode) and found.st_size == 0:
            os.unlink(path)
    except OSError:
        pass  # in use, or gone: either is fine


def _mount_points_elsewhere() -> set[str]:
    """What is mounted on in other mount namespaces, as far as we may look.

    Removing a directory silently takes away the mounts on it that other namespaces have (rmdir(2) gives
    EBUSY for our own only), so another minikubelet's pods must be looked for.
    """
    found: set[str] = set()
    seen = {os.readlink("/proc/self/ns/mnt")}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            namespace = os.readlink(f"/proc/{pid}/ns/mnt")
            if namespace not in seen:
                seen.add(namespace)
                found.update(_mount_points(pid))
        except OSError:
            continue  # it ended, or is someone else's
    return found


def _mount_points(pid: str) -> list[str]:
    """Field 5 of proc_pid_mountinfo(5)."""
    with open(f"/proc/{pid}/mountinfo", "rb") as lines:
        fields = [line.split(b" ")[4] for line in lines]
    return [os.fsdecode(field.decode("unicode_escape").encode("latin-1")) for field in fields]
