"""Run a command where no memory may be executed that could be written: `no_execution.py [--no-memfd] CMD`.

`prctl(PR_SET_MDWE)` of Linux 6.3 does what SELinux, systemd's MemoryDenyWriteExecute and the seccomp filters
of containers do. With --no-memfd files in memory are refused as well, by a seccomp filter: no way is left.
"""

import ctypes
import os
import platform
import struct
import sys

PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, PR_SET_MDWE = 38, 22, 65
SECCOMP_MODE_FILTER, EXEC_GAIN = 2, 1
MEMFD_CREATE = {"x86_64": 319, "aarch64": 279}
LACKING = 77
"""Exit status where the system cannot do that."""

LOAD, JUMP_IF_EQUAL, RETURN = 0x20, 0x15, 0x06
ALLOW, REFUSE = 0x7FFF0000, 0x00050000 | 1  # EPERM


class Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def main() -> None:
    system = ctypes.CDLL(None, use_errno=True)
    command = sys.argv[1:]
    if command[0] == "--no-memfd":
        command = command[1:]
        instructions = [
            (LOAD, 0, 0, 0),  # the number of the system call
            (JUMP_IF_EQUAL, 0, 1, MEMFD_CREATE[platform.machine()]),
            (RETURN, 0, 0, REFUSE),
            (RETURN, 0, 0, ALLOW),
        ]
        code = b"".join(struct.pack("<HBBI", *instruction) for instruction in instructions)
        program = Program(len(instructions), code)
        if system.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or system.prctl(
            PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0
        ):
            sys.exit(LACKING)
    if system.prctl(PR_SET_MDWE, EXEC_GAIN, 0, 0, 0):
        sys.exit(LACKING)
    os.execvp(command[0], command)  # noqa: S606  # no shell is wanted


if __name__ == "__main__":
    main()
