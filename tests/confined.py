"""Runs a command under what a systemd unit forbids to processes, without systemd as the first one.

    python tests/confined.py UNIT COMMAND...

Of the unit's directives: NoNewPrivileges, MemoryDenyWriteExecute, SystemCallFilter, and
RestrictAddressFamilies, through the kernel's own means (prctl, and seccomp by libseccomp). What a
system call outside of them gets is the unit's SystemCallErrorNumber. Not the unit's view of files.
"""

import ctypes
import ctypes.util
import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

PR_SET_NO_NEW_PRIVS, PR_SET_MDWE, MDWE_REFUSE_EXEC_GAIN = 38, 65, 1
ALLOW, ERRNO, EQUAL = 0x7FFF0000, 0x00050000, 4
EPERM = 1


class Compare(ctypes.Structure):
    _fields_ = [
        ("arg", ctypes.c_uint), ("op", ctypes.c_int),
        ("datum_a", ctypes.c_uint64), ("datum_b", ctypes.c_uint64),
    ]  # fmt: skip


def is_possible() -> str:
    """Why it is not; empty where it is."""
    if shutil.which("systemd-analyze") is None:
        return "systemd is not installed"
    if ctypes.util.find_library("seccomp") is None:
        return "libseccomp is not installed"
    libc = ctypes.CDLL(None, use_errno=True)
    known = libc.prctl(PR_SET_MDWE + 1, 0, 0, 0, 0)  # PR_GET_MDWE
    return "" if known >= 0 else "the kernel knows no PR_SET_MDWE"


def directives(unit: Path) -> list[tuple[str, str]]:
    return re.findall(r"^(\w+)=(.*)$", unit.read_text("utf-8"), re.MULTILINE)


def group(name: str) -> set[str]:
    """The system calls of a group, and of those in it."""
    if not name.startswith("@"):
        return {name}
    command = ["systemd-analyze", "--no-pager", "syscall-filter", name]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    names = [line.strip() for line in told.splitlines()[1:] if line.startswith("    ")]
    return {call for inner in names if not inner.startswith("#") for call in group(inner)}


def allowed(unit: Path) -> set[str]:
    calls = group("@default")
    for key, value in directives(unit):
        if key != "SystemCallFilter":
            continue
        named = {call for name in value.removeprefix("~").split() for call in group(name)}
        calls = calls - named if value.startswith("~") else calls | named
    if os.geteuid() == 0:  # as a service it is not, and gives no files to anybody
        calls |= group("@chown")
    return calls - {"socket"}


def confine(unit: Path) -> None:
    """From here on, for this process and all that it starts."""
    libc = ctypes.CDLL(None, use_errno=True)
    told = dict(directives(unit))
    calls, families = allowed(unit), told["RestrictAddressFamilies"].split()
    assert told["SystemCallErrorNumber"] == "EPERM"
    assert told["NoNewPrivileges"] == told["MemoryDenyWriteExecute"] == "yes"
    assert libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
    assert libc.prctl(PR_SET_MDWE, MDWE_REFUSE_EXEC_GAIN, 0, 0, 0) == 0
    seccomp = ctypes.CDLL(ctypes.util.find_library("seccomp"))
    seccomp.seccomp_init.restype = ctypes.c_void_p
    context = ctypes.c_void_p(seccomp.seccomp_init(ERRNO | EPERM))
    for name in sorted(calls):
        number = seccomp.seccomp_syscall_resolve_name(name.encode())
        if number >= 0:  # else one of another architecture
            assert seccomp.seccomp_rule_add_exact(context, ALLOW, number, 0) == 0, name
    number = seccomp.seccomp_syscall_resolve_name(b"socket")
    for family in families:
        only = (Compare * 1)(Compare(0, EQUAL, getattr(socket, family), 0))
        assert seccomp.seccomp_rule_add_array(context, ALLOW, number, 1, only) == 0
    assert seccomp.seccomp_load(context) == 0


if __name__ == "__main__":
    confine(Path(sys.argv[1]))
    os.execvp(sys.argv[2], sys.argv[2:])
