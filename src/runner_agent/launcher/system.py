"""What Linux offers and Python's standard library does not. Loaded once, before anything is forked.

A forked process shares memory until it writes, and in Python all use is writing (reference counts). So what
runs between fork and the holder's long wait is kept short: each page touched costs 4 KiB and microseconds.
"""

# Not `socket`, which makes an enumeration of its constants and brings selectors, math and array: 40 KiB of
# each holder's own, a twentieth of what a fork takes, and a third of the launcher's start.
import _socket as sockets
import ctypes
import os
import signal

from runner_agent.launcher.wire import cast

_PR_SET_CHILD_SUBREAPER = 36
_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL = 47, 4
_CLONE3, _CLONE_INTO_CGROUP = 435, 0x200000000
_CAPABILITIES_V3 = 0x20080522
_libc = ctypes.CDLL(None, use_errno=True)
_prctl = _libc.prctl
_prctl.argtypes = (ctypes.c_int, ctypes.c_ulong, ctypes.c_ulong, ctypes.c_ulong, ctypes.c_ulong)
_signalfd = _libc.signalfd
_signalfd.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_int)
_syscall = _libc.syscall
_syscall.restype = ctypes.c_long
_syscall.argtypes = (ctypes.c_long, ctypes.c_void_p, ctypes.c_size_t)
_clone = (ctypes.c_uint64 * 11)(_CLONE_INTO_CGROUP, 0, 0, 0, signal.SIGCHLD)  # struct clone_args
_clone_at, _clone_size, _CLONE_CGROUP = ctypes.addressof(_clone), ctypes.sizeof(_clone), 10
_capset = _libc.capset
_SIGSET = 128
_MOST_FILES = os.sysconf("SC_OPEN_MAX")


def become_subreaper() -> None:
    """From now on orphans of the whole subtree become children of this process.

    Not inherited by fork. Raises OSError.
    """
    if _prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        error = ctypes.get_errno()
        raise OSError(error, "prctl(PR_SET_CHILD_SUBREAPER)")


def take_signals(*wanted: int) -> int:
    """Block all signals, for our forks too; returns the descriptor to read the `wanted` ones from.

    No handlers: what arrives between a fork and the first line of the child waits. Nothing ignored: that
    would outlive exec, in every command; so would what Python or our starter ignored. With SIGPIPE blocked,
    writing to the dead is EPIPE.
    """
    for number in signal.valid_signals():
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, signal.valid_signals())
    mask = sum(1 << (number - 1) for number in wanted).to_bytes(_SIGSET, "little")
    descriptor: int = _signalfd(-1, mask, os.O_CLOEXEC | os.O_NONBLOCK)
    if descriptor < 0:
        error = ctypes.get_errno()
        raise OSError(error, "signalfd")
    return descriptor


def close_all_but(*kept: int) -> None:
    """Close every descriptor above 2 that is not one of these."""
    first = 3
    for descriptor in (*sorted(kept), _MOST_FILES):
        os.closerange(first, descriptor)
        first = descriptor + 1


def fork_into(cgroup: int) -> int:
    """As os.fork, with the child in the cgroup whose folder is open as `cgroup`. Raises OSError.

    To fork and then move takes the kernel up to 10 ms, for it waits until no processor looks. For a process
    of one thread that soon executes something else: Python is not told that it was forked.
    """
    _clone[_CLONE_CGROUP] = cgroup
    pid: int = _syscall(_CLONE3, _clone_at, _clone_size)
    if pid < 0:
        raise OSError(ctypes.get_errno(), "clone3")
    return pid


def drop_capabilities() -> None:
    """Let none outlive a change from root to another user and exec; setuid programs still get theirs."""
    _prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
    _capset((ctypes.c_uint32 * 2)(_CAPABILITIES_V3, 0), (ctypes.c_uint32 * 6)())


def accept(listener: sockets.socket) -> sockets.socket:
    """As socket.socket.accept, without the address. Raises OSError."""
    taken = cast("tuple[int, object]", listener._accept())  # type: ignore[attr-defined]  # noqa: SLF001
    return sockets.socket(fileno=taken[0])
