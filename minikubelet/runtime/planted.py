"""Opening and making files where a container could have put something else.

A container may run as the user that we are, and it writes to volumes whoever it is; so what we look for may
have become a symlink that leads elsewhere, a pipe that nobody writes to, a directory. Whoever opens with
these functions gets what was meant or an `OSError`: nothing is followed, and nothing waited for.
"""

import errno
import os
import stat
from collections.abc import Sequence

Identity = tuple[int, int]
"Device and inode: what a path can stop leading to."


def open_regular(path: str | os.PathLike[str], flags: int, mode: int = 0o600) -> int:
    """open(2) of a regular file, which may be new with O_CREAT. Raises `OSError`, for whatever else is there
    too: ELOOP for a symlink, ENXIO for a pipe, EISDIR, EINVAL."""
    fd = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, mode)
    kind = os.fstat(fd).st_mode
    if stat.S_ISREG(kind):
        return fd
    os.close(fd)
    number = errno.EISDIR if stat.S_ISDIR(kind) else errno.EINVAL
    raise OSError(number, "not a regular file", os.fspath(path))


def open_beneath(root: str | os.PathLike[str], names: Sequence[str], *, make: bool = False) -> int:
    """An O_PATH descriptor of what lies at `names` below the directory `root`, no symlink on the way.

    With `make` all of it are directories, and those that are missing get the mode of `root`, whatever the
    umask is. Raises `OSError`.
    """
    here = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    mode = stat.S_IMODE(os.fstat(here).st_mode)
    try:
        for number, name in enumerate(names, 1):
            is_new = False
            if make:
                try:
                    os.mkdir(name, dir_fd=here)
                    is_new = True
                except FileExistsError:
                    pass
            is_directory = os.O_DIRECTORY if make or number < len(names) else 0
            below = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC | is_directory, dir_fd=here)
            os.close(here)
            here = below
            if is_new:
                os.chmod(f"/proc/self/fd/{here}", mode)  # mkdir(2) has taken the umask off
        if stat.S_ISLNK(os.fstat(here).st_mode):
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), os.path.join(root, *names))
    except BaseException:
        os.close(here)
        raise
    return here


def names_inside(root: str | os.PathLike[str], path: str) -> tuple[str, list[str]]:
    """What `path` leads to below `root`: the real path of that, and the names from there.

    Links are followed as long as they stay inside. Raises `ValueError`.
    """
    real = os.path.realpath(root)
    found = os.path.realpath(os.path.join(real, path))
    if os.path.commonpath((real, found)) != real:
        raise ValueError(f"{path} is not within the volume")
    return real, os.path.relpath(found, real).split("/")


def identity(fd: int | str) -> Identity:
    """Of a descriptor, or of what a path leads to. Raises `OSError`."""
    found = os.stat(fd)
    return found.st_dev, found.st_ino
