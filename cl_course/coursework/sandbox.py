"""A process that runs students' code, shut off from the rest of the machine as far as the system allows.

Limits of memory and file size are set on Linux and macOS (macOS may not enforce the one of memory). On Linux there are
three more walls, none of which needs root:

- namespaces: no network, and no process outside can be signalled or traced; all processes inside end together;
- Landlock: files can be written in one folder alone, and read only there, in the system's folders and where Python and
  the course lie, so that neither the marks nor other students' notebooks can be read where they lie elsewhere;
- a signal from the kernel that ends the process as soon as its grader ends.

What a system does not offer is left out and named by `enter`, and the report of the class says so: then run the grader
in a container. Not defended against: a bug in the kernel, and a student's code that slows the machine down meanwhile.

Only the standard library is imported here: namespaces must be entered before any thread runs.
"""

import ctypes
import os
import signal
import struct
import sys
from collections.abc import Sequence
from pathlib import Path

try:
    import resource
except ModuleNotFoundError:  # Windows
    resource = None

NEW_USER, NEW_PID, NEW_NET, NEW_IPC = 0x10000000, 0x20000000, 0x40000000, 0x08000000
DIE_WITH_PARENT, NO_NEW_PRIVILEGES = 1, 38  # of prctl
CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446  # Landlock's system calls, the same on every processor
READ, WRITE = 0b1101, 0b111_1111_1111_0010  # its rights of files: execute, read, list; and all that changes a file
SINCE_REFER, SINCE_TRUNCATE, SINCE_NETWORK, SINCE_SCOPES = 2, 3, 4, 6  # its versions
FILE_BYTES = 100_000_000


def enter(folder: Path, readable: Sequence[Path], memory: int) -> list[str]:
    """Shut this process off; it goes on as a child of the one that called, which waits and ends as the child ends.

    Args:
        folder: the one place where files may be written.
        readable: what may be read, beside the system's own folders.
        memory: bytes of data that the process may hold.

    Returns:
        One sentence for each wall that this system does not offer.
    """
    missing = limit(memory)
    if not sys.platform.startswith("linux"):
        return [*missing, "only Linux can cut off the network and protect files and processes from a notebook"]
    libc = ctypes.CDLL(None, use_errno=True)
    user, group = os.getuid(), os.getgid()
    if libc.unshare(NEW_USER | NEW_PID | NEW_NET | NEW_IPC) == 0:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
        Path("/proc/self/gid_map").write_text(f"{group} {group} 1")
    else:
        why = os.strerror(ctypes.get_errno())
        missing.append(f"namespaces are not allowed here ({why}): the network is open, other processes can be reached")
    _follow_a_child(libc)
    _follow_a_child(libc)  # once more: the first process of a namespace cannot be killed from inside of it
    if problem := _landlock(libc, folder, readable):
        missing.append(problem)
    return missing


def limit(memory: int) -> list[str]:
    """Set this process's limits of memory, in bytes, and of file size; one sentence where the system has none."""
    if resource is None:
        return ["this system has no limits of memory and file size for a process"]
    for name, value in (("RLIMIT_DATA", memory), ("RLIMIT_FSIZE", FILE_BYTES), ("RLIMIT_CORE", 0)):
        most = resource.getrlimit(getattr(resource, name))[1]
        value = value if most == resource.RLIM_INFINITY else min(value, most)
        try:
            resource.setrlimit(getattr(resource, name), (value, value))
        except (ValueError, OSError) as error:
            return [f"{name} cannot be set on this system ({error})"]
    return []


def _follow_a_child(libc: ctypes.CDLL) -> None:
    """Go on in a child, and end as it ends. After the first process of a namespace all others in there end too."""
    child = os.fork()
    if child:
        os.closerange(3, 1024)  # so that the channel closes when the child ends
        status = os.waitpid(child, 0)[1]
        os._exit(os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status))
    libc.prctl(DIE_WITH_PARENT, signal.SIGKILL)


def _landlock(libc: ctypes.CDLL, folder: Path, readable: Sequence[Path]) -> str | None:
    """Only `folder` can be written, only it and `readable` read; what failed, or None."""
    version = libc.syscall(CREATE_RULESET, None, 0, 1)
    if version < 1:
        return "this kernel has no Landlock: files of this account can be read and changed by a notebook"
    write = WRITE & ~(1 << 13 if version < SINCE_REFER else 0) & ~(1 << 14 if version < SINCE_TRUNCATE else 0)
    network = 0b11 if version >= SINCE_NETWORK else 0
    scopes = 0b11 if version >= SINCE_SCOPES else 0
    rights = struct.pack("=QQQ", READ | write, network, scopes)[: 24 if scopes else 16 if network else 8]
    rules = libc.syscall(CREATE_RULESET, rights, len(rights), 0)
    # Of /proc only the machine and the process itself: command lines of others may hold the seed of hidden inputs.
    proc = [f"/proc/{name}" for name in ("self", "cpuinfo", "meminfo", "stat", "filesystems", "sys")]
    system = [Path(p) for p in ("/usr", "/lib", "/lib64", "/bin", "/etc", *proc, "/sys", "/opt", "/dev")]
    allowed = [(path, READ) for path in (*system, *readable)] + [(folder, READ | write), (Path("/dev/null"), 0b10)]
    for path, right in allowed:
        if path.exists():
            if not path.is_dir():
                right &= 0b111 | 1 << 14  # a file can be executed, written, read and cut
            place = os.open(path, os.O_PATH | os.O_CLOEXEC)
            libc.syscall(ADD_RULE, rules, 1, struct.pack("=Qi", right & (READ | write), place), 0)
            os.close(place)
    libc.prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    failed = libc.syscall(RESTRICT_SELF, rules, 0)
    os.close(rules)
    return (
        f"Landlock failed ({os.strerror(ctypes.get_errno())}): files can be changed by a notebook" if failed else None
    )


def end_with_parent() -> None:
    """On Linux, this process is killed as soon as the one that started it has ended."""
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(DIE_WITH_PARENT, signal.SIGKILL)
