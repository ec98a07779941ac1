"""Runs a program, and all that it starts, where the kernel gives nobody a namespace.

    python tests/without_namespaces.py PROGRAM [ARG...]

Responsible for what many containers and hardened machines are like: unshare(2), setns(2), and clone(2) with a
`CLONE_NEW*` flag fail with EPERM, for root too, and clone3(2), whose flags a filter cannot see, with ENOSYS,
after which the C library falls back on clone(2). The one idea: it is a seccomp(2) filter, as container
runtimes have it by default, so who we are stays as it is. What is started cannot get rid of it.
"""

import ctypes
import errno
import os
import platform
import struct
import sys

TOLD = "WITHOUT_NAMESPACES"
"The environment variable by which tests know that they are not to expect any."

PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP = 38, 22
SECCOMP_MODE_FILTER = 2
ALLOW, FAIL_WITH = 0x7FFF0000, 0x00050000
CLONE3 = 435  # everywhere
NEW_NAMESPACE = 0x7E020000
"The `CLONE_NEW*` flags of clone(2): NS, CGROUP, UTS, IPC, USER, PID, NET."

ARCHITECTURES = {  # AUDIT_ARCH_*, then the numbers of clone, unshare and setns
    "x86_64": (0xC000003E, 56, 272, 308),
    "aarch64": (0xC00000B7, 220, 97, 268),
}

# Fields of `struct seccomp_data`: the low halves, for both architectures are little-endian.
NUMBER, ARCHITECTURE, FIRST_ARGUMENT = 0, 4, 16

LOAD, RETURN = 0x20, 0x06  # BPF_LD|BPF_W|BPF_ABS and BPF_RET|BPF_K
JUMP_IF_EQUAL, JUMP_IF_ANY_BIT = 0x15, 0x45  # BPF_JMP|BPF_K with BPF_JEQ and BPF_JSET


def filter_program() -> bytes:
    """`struct sock_filter[]`: jumps count the instructions that are left out, if true and if false."""
    architecture, clone, unshare, setns = ARCHITECTURES[platform.machine()]
    refuse, missing = FAIL_WITH | errno.EPERM, FAIL_WITH | errno.ENOSYS
    program = [
        (LOAD, 0, 0, ARCHITECTURE),
        (JUMP_IF_EQUAL, 0, 8, architecture),  # others than ours: ENOSYS
        (LOAD, 0, 0, NUMBER),
        (JUMP_IF_EQUAL, 6, 0, CLONE3),
        (JUMP_IF_EQUAL, 4, 0, setns),
        (JUMP_IF_EQUAL, 3, 0, unshare),
        (JUMP_IF_EQUAL, 0, 4, clone),
        (LOAD, 0, 0, FIRST_ARGUMENT),
        (JUMP_IF_ANY_BIT, 0, 2, NEW_NAMESPACE),
        (RETURN, 0, 0, refuse),
        (RETURN, 0, 0, missing),
        (RETURN, 0, 0, ALLOW),
    ]
    return b"".join(struct.pack("HBBI", *instruction) for instruction in program)


def refuse_namespaces() -> None:
    """Install the filter for this process and all that it will start. Raises `OSError`."""
    libc = ctypes.CDLL(None, use_errno=True)
    program = filter_program()
    kept = ctypes.create_string_buffer(program, len(program))
    header = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(kept)))

    def prctl(*arguments: object) -> int:
        result: int = libc.prctl(*arguments)
        return result

    # Without privilege a filter needs no_new_privs; with it, setuid programs and the like stay what they are.
    if prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, header) == 0:
        return
    one, zero = ctypes.c_ulong(1), ctypes.c_ulong(0)
    if (
        prctl(PR_SET_NO_NEW_PRIVS, one, zero, zero, zero) != 0
        or prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, header) != 0
    ):
        number = ctypes.get_errno()
        raise OSError(number, f"cannot install a seccomp filter: {os.strerror(number)}")


def main() -> None:
    if len(sys.argv) < 2:
        sys.exit("usage: without_namespaces.py PROGRAM [ARG...]")
    refuse_namespaces()
    os.execvpe(sys.argv[1], sys.argv[1:], {**os.environ, TOLD: "1"})


if __name__ == "__main__":
    main()
