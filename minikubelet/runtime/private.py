"""Files of ours in places where other users may write, too.

Responsible for two things: nobody else can read or exchange what is only ours, and nobody can make us write
where they want by a symlink or a file that was there before (CWE-59, CWE-377). Root is trusted as much as we
are ourselves, for it could do anything anyway. Refuses to know what is in the files.
"""

import errno
import os
import stat

_FOREIGN = "it belongs to another user"


def check_directory(path: str) -> None:
    """Raises `PermissionError` for a directory whose owner could exchange what we put there."""
    _check_link(path)
    if not _is_trusted(os.stat(path).st_uid):
        raise _refusal(path)


def open_file(path: str) -> int:
    """A descriptor to write a file anew, whose mode is 0600 if there was none; a pipe or a device as it is.

    Symlinks of ours and of root's are followed. Raises `OSError`.
    """
    _check_place(path)
    if _is_special(path):
        return os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    return os.open(os.path.realpath(path), flags, 0o600)


def write_file(path: str, data: bytes, *, mode: int = 0o600) -> None:
    """A file that is there completely or not at all; what it replaces gives it its mode, else `mode` does.

    Behind a symlink its target is replaced; a pipe or a device is written to. Raises `OSError`.
    """
    _check_place(path)
    if _is_special(path):
        with open(path, "wb") as stream:
            stream.write(data)
        return
    temporary = _temporary(path)
    with open(_opened_new(temporary, mode), "wb") as stream:
        try:
            if os.path.exists(path):
                os.fchmod(stream.fileno(), stat.S_IMODE(os.stat(path).st_mode))
            stream.write(data)
            stream.flush()
            os.rename(temporary, os.path.realpath(path))
        except OSError:
            os.unlink(temporary)
            raise


def try_file(path: str) -> None:
    """Raises `OSError` if `write_file` would, as far as can be said beforehand."""
    _check_place(path)
    if _is_special(path):
        os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC))
    else:
        temporary = _temporary(path)
        os.close(_opened_new(temporary, 0o600))
        os.unlink(temporary)


def _check_place(path: str) -> None:
    """Whoever knows the name beforehand can have put something there: in /tmp that is everybody."""
    _check_link(path)
    place = os.path.realpath(path)
    try:
        found = os.lstat(place)
    except OSError:
        return
    around = os.stat(os.path.dirname(place)).st_mode
    if around & stat.S_ISVTX and around & stat.S_IWOTH and not _is_trusted(found.st_uid):
        raise _refusal(path)


def _check_link(path: str) -> None:
    """As `fs.protected_symlinks` does it in /tmp, but everywhere, for the last part of a path."""
    try:
        found = os.lstat(path)
    except OSError:
        return
    if stat.S_ISLNK(found.st_mode) and not _is_trusted(found.st_uid):
        raise _refusal(path)


def _is_trusted(uid: int) -> bool:
    return uid in (0, os.geteuid()) or not _is_mapped(uid)


def _is_mapped(uid: int) -> bool:
    """In a user namespace without it, root is nobody like everybody else (user_namespaces(7))."""
    from minikubelet.runtime.users import is_mapped

    return uid != 65534 or is_mapped("uid", 0)


def _refusal(path: str) -> PermissionError:
    return PermissionError(errno.EPERM, _FOREIGN, path)


def _is_special(path: str) -> bool:
    """/dev/stdout, a named pipe and the like cannot be replaced, only written to."""
    return os.path.exists(path) and not os.path.isfile(path)


def _temporary(path: str) -> str:
    """In the same directory, so that the renaming is atomic; behind a symbolic link that is its target's."""
    return os.path.join(os.path.dirname(os.path.realpath(path)), f".{os.urandom(8).hex()}.tmp")


def _opened_new(path: str, mode: int) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
