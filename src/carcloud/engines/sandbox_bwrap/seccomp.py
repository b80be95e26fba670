"""A filter of system calls that scripts have no use for: seccomp(2), in classic BPF.

The sandbox does not rest on it. It keeps the parts of the kernel out of reach in which most ways
out of sandboxes were found: namespaces, mounts, keys, tracing, modules.
"""

import errno
import platform
import struct

# System call numbers: Linux's arch/x86/entry/syscalls/syscall_64.tbl and
# include/uapi/asm-generic/unistd.h. Each row: name, x86-64, arm64.
_REFUSED = (
    ("ptrace", 101, 117), ("syslog", 103, 116), ("pivot_root", 155, 41), ("chroot", 161, 51),
    ("acct", 163, 89), ("mount", 165, 40), ("umount2", 166, 39), ("swapon", 167, 224),
    ("swapoff", 168, 225), ("reboot", 169, 142), ("init_module", 175, 105),
    ("delete_module", 176, 106), ("quotactl", 179, 60), ("add_key", 248, 217),
    ("request_key", 249, 218), ("keyctl", 250, 219), ("unshare", 272, 97),
    ("perf_event_open", 298, 241), ("name_to_handle_at", 303, 264),
    ("open_by_handle_at", 304, 265), ("setns", 308, 268), ("process_vm_readv", 310, 270),
    ("process_vm_writev", 311, 271), ("kcmp", 312, 272), ("finit_module", 313, 273),
    ("kexec_file_load", 320, 294), ("bpf", 321, 280), ("userfaultfd", 323, 282),
    ("io_uring_setup", 425, 425), ("io_uring_enter", 426, 426), ("io_uring_register", 427, 427),
    ("open_tree", 428, 428), ("move_mount", 429, 429), ("fsopen", 430, 430),
    ("fsmount", 432, 432), ("mount_setattr", 442, 442),
)  # fmt: skip
_CLONE3 = 435  # its flags lie in memory, where a filter cannot look: C libraries fall back to clone
_CLONE = {"x86_64": 56, "aarch64": 220}
_NEW_NAMESPACES = 0x7E020000  # CLONE_NEWNS, CGROUP, UTS, IPC, USER, PID, NET
_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}  # AUDIT_ARCH_*
_X32 = 0x40000000  # calls of the x32 interface have this bit

_LOAD, _JUMP_EQ, _JUMP_GE, _JUMP_SET, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT = 0, 4, 16  # offsets in struct seccomp_data
_ALLOW, _KILL, _ERROR = 0x7FFF0000, 0x80000000, 0x00050000


def program(machine: str | None = None) -> bytes | None:
    """The filter for a machine, as `bwrap --seccomp` reads it; None for one that is not known."""
    machine = machine or platform.machine()
    if machine not in _ARCH:
        return None
    column = 1 if machine == "x86_64" else 2
    refused = [int(row[column]) for row in _REFUSED]
    rows = [
        _step(_LOAD, _ARCHITECTURE),
        _step(_JUMP_EQ, _ARCH[machine], yes=1),
        _step(_RETURN, _KILL),
        _step(_LOAD, _NUMBER),
        _step(_JUMP_GE, _X32, no=1),
        _step(_RETURN, _ERROR | errno.ENOSYS),
        _step(_JUMP_EQ, _CLONE3, no=1),
        _step(_RETURN, _ERROR | errno.ENOSYS),
    ]
    for number in refused:
        rows += [_step(_JUMP_EQ, number, no=1), _step(_RETURN, _ERROR | errno.EPERM)]
    rows += [
        _step(_JUMP_EQ, _CLONE[machine], no=3),
        _step(_LOAD, _FIRST_ARGUMENT),
        _step(_JUMP_SET, _NEW_NAMESPACES, no=1),
        _step(_RETURN, _ERROR | errno.EPERM),
        _step(_RETURN, _ALLOW),
    ]
    return b"".join(rows)


def _step(code: int, value: int, *, yes: int = 0, no: int = 0) -> bytes:
    """One instruction: struct sock_filter."""
    return struct.pack("=HBBI", code, yes, no, value)
