"""Who a container runs as: names of the host's users and groups, as numbers."""

import os

from minikubelet.runtime.base import StartError
from minikubelet.runtime.process import User


def find_user(text: str) -> tuple[User | None, str]:
    """`name`, `uid`, `name:group` or `uid:gid`, and the user's home directory.

    None instead of a user when it is the one we are, or we are nobody who could become another: then the
    container runs as we do. Raises `StartError` for names that this host does not know.
    """
    import grp
    import pwd

    name, _, group = text.partition(":")
    try:
        entry = pwd.getpwuid(int(name)) if name.isdigit() else pwd.getpwnam(name)
        uid, gid, home, login = entry.pw_uid, entry.pw_gid, entry.pw_dir, entry.pw_name
    except KeyError:
        if not name.isdigit():
            raise StartError("CreateContainerConfigError", f'no user "{name}" on this host') from None
        uid, gid, home, login = int(name), int(name), "/", None
    if group:
        try:
            gid = int(group) if group.isdigit() else grp.getgrnam(group).gr_gid
        except KeyError:
            raise StartError("CreateContainerConfigError", f'no group "{group}" on this host') from None
    if os.geteuid() != 0 or uid == os.geteuid():
        return None, os.environ.get("HOME", "/") if os.geteuid() != uid else home
    groups = tuple(os.getgrouplist(login, gid)) if login is not None else ()
    return User(uid, gid, groups), home
