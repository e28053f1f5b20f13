"""The system calls a worker has no use for, barred by seccomp: what it cannot call it cannot misuse.

A list of what is barred rather than of what is needed: PDFium, Typst and LibreOffice come as compiled libraries whose
next version may need another ordinary call, and a document that fails for that is a fax that fails.
"""

import contextlib
import errno
from collections.abc import Iterator
from functools import cache

import seccompy
from seccompy import Action, ArgCmp, CmpOp, Filter

_CLONE_THREAD = 0x00010000
_AF_UNIX = 1
_X32 = 0x40000000  # x86_64 kernels may know each call by a second number: these bits more (and 512 to 547)

_PROCESSES = "fork vfork execve execveat kill tkill tgkill rt_sigqueueinfo rt_tgsigqueueinfo"
_SOCKETS = "socketpair bind listen accept accept4"
_ALWAYS = """
connect sendmmsg recvmmsg
ptrace process_vm_readv process_vm_writev process_madvise process_mrelease kcmp
pidfd_open pidfd_getfd pidfd_send_signal
unshare setns mount umount2 pivot_root chroot open_tree open_tree_attr move_mount fsopen fsconfig fsmount fspick
mount_setattr bpf perf_event_open userfaultfd io_uring_setup io_uring_enter io_uring_register
add_key request_key keyctl kexec_load kexec_file_load init_module finit_module delete_module
reboot swapon swapoff acct quotactl quotactl_fd syslog sethostname setdomainname
settimeofday clock_settime clock_adjtime adjtimex
iopl ioperm modify_ldt personality vhangup name_to_handle_at open_by_handle_at fanotify_init memfd_secret
chown fchown lchown fchownat setxattr lsetxattr fsetxattr setxattrat
removexattr lremovexattr fremovexattr removexattrat file_setattr mknod mknodat
chmod fchmod fchmodat fchmodat2 utime utimes futimesat utimensat
shmget shmat shmctl shmdt msgget msgsnd msgrcv msgctl semget semop semctl semtimedop
mq_open mq_unlink mq_timedsend mq_timedreceive mq_notify mq_getsetattr
migrate_pages move_pages setpriority sched_setscheduler sched_setattr ioprio_set
"""


def confine(*, office: bool) -> bool:
    """Bar them for this process and what it starts. False where the kernel or this processor's list is missing."""
    try:
        prepared(office=office).load()
    except OSError:
        return False
    return True


def prepare() -> None:
    """What takes time, and processes of the library's own, before the first fork."""
    with contextlib.suppress(OSError):
        seccompy.supported()
        for office in (False, True):
            prepared(office=office)


@cache
def prepared(*, office: bool) -> Filter:
    """The filter, translated for the kernel; made once, by the forkserver."""
    barred = Filter(default=Action.ALLOW)
    for number in _numbers(_ALWAYS if office else f"{_ALWAYS} {_PROCESSES} {_SOCKETS}"):
        barred.errno(number, errno.EPERM)
    # LibreOffice talks to itself over a socket that it makes in its own folder, to nobody else.
    family = [ArgCmp(0, CmpOp.NE, _AF_UNIX)] if office else None
    barred.errno("socket", errno.EPERM, args=family)
    barred.errno("prlimit64", errno.EPERM, args=[ArgCmp(0, CmpOp.NE, 0)])  # of other processes
    if not office:
        # Threads, but no processes. A filter cannot see what clone3 is asked for; without it the C library uses clone.
        barred.errno("clone3", errno.ENOSYS)
        barred.errno("clone", errno.EPERM, args=[ArgCmp(0, CmpOp.MASKED_EQ, 0, mask=_CLONE_THREAD)])
    _ = barred.program
    return barred


def _numbers(names: str) -> Iterator[int]:
    """The calls' numbers on this processor, which need not know all of them."""
    for name in names.split():
        try:
            number = seccompy.syscall_nr(name)
        except ValueError:
            continue
        yield number
        if seccompy.arch() == "x86_64":
            yield number | _X32
    if seccompy.arch() == "x86_64":
        yield from range(_X32 + 512, _X32 + 548)
