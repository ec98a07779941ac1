"""Removing trees that containers have had their hands on.

Responsible for removing all of it and nothing else: no symlink is followed, and neither permissions nor
depth nor names that change under way get in the way. `shutil.rmtree` is safe from symlinks as well, but goes
down with Python's stack and with the descriptors of the process, and stops where it may not look.
"""

import os
import time

from minikubelet.api.values import Factory, define


def remove_tree(root: str | os.PathLike[str]) -> None:
    """`rm -rf`, but for any depth and whatever the permissions of directories; never follows a symlink.

    Raises the first `OSError` after removing all that can be removed; nothing is there to remove is none.
    """
    above, name = os.path.split(os.fspath(root))
    parent = os.open(above or ".", os.O_PATH)
    removal = _Removal()
    try:
        removal.remove(name, parent, 0)
    finally:
        os.close(parent)
    if removal.failures:
        raise removal.failures[0]


@define
class _Removal:
    """Every step holds on to a directory, so it keeps its footing while names change under it.

    What lies deeper than our stack and our descriptors should go is first taken to the top.
    """

    top: int = -1
    "A descriptor of the root, while it is there."
    pending: list[str] = Factory(list)
    failures: list[OSError] = Factory(list)

    def remove(self, name: str, parent: int, depth: int) -> None:
        try:
            try:
                os.unlink(name, dir_fd=parent)
                return
            except (IsADirectoryError, PermissionError):  # a directory: EISDIR on Linux, EPERM in POSIX
                pass
            try:
                os.rmdir(name, dir_fd=parent)  # as most are empty
                return
            except OSError:  # it is not, or it cannot be removed: then who steps in is told so
                directory = _open_directory(name, parent)
            try:
                if depth < 100:
                    self._empty(directory, depth)
                    os.rmdir(name, dir_fd=parent)
                else:
                    piece = f".removed.{os.getpid()}.{time.monotonic_ns()}"
                    os.rename(name, piece, src_dir_fd=parent, dst_dir_fd=self.top)
                    self.pending.append(piece)
            finally:
                os.close(directory)
        except FileNotFoundError:
            pass
        except OSError as error:
            self.failures.append(error)

    def _empty(self, directory: int, depth: int) -> None:
        if depth == 0:
            self.top = directory
        for entry in os.listdir(directory):
            self.remove(entry, directory, depth + 1)
        while depth == 0 and self.pending:
            self.remove(self.pending.pop(), directory, 1)


def _open_directory(name: str, parent: int) -> int:
    flags = os.O_DIRECTORY | os.O_NOFOLLOW
    held = os.open(name, os.O_PATH | flags, dir_fd=parent)
    try:
        os.chmod(f"/proc/self/fd/{held}", 0o700)
        return os.open(f"/proc/self/fd/{held}", os.O_RDONLY | os.O_DIRECTORY)
    finally:
        os.close(held)
