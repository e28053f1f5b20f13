"""Two soft modems on a loopback of their own, one dialling the other, for as long as this process lives.

    unshare --net python modems.py IAXMODEM CONFIGURATION CONFIGURATION

iaxmodem binds its port on all addresses and takes calls from anyone, hence the network namespace.
"""

import fcntl
import signal
import socket
import struct
import subprocess
import sys

_GET_FLAGS, _SET_FLAGS, _UP = 0x8913, 0x8914, 1  # netdevice(7)


def loopback_up() -> None:
    """A new namespace has its loopback interface down."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_one:
        (flags,) = struct.unpack_from("h", fcntl.ioctl(any_one, _GET_FLAGS, struct.pack("16sh14x", b"lo", 0)), 16)
        fcntl.ioctl(any_one, _SET_FLAGS, struct.pack("16sh14x", b"lo", flags | _UP))


def main() -> None:
    """Until SIGTERM."""
    program, *configurations = sys.argv[1:]
    loopback_up()
    # iaxmodem looks for its file in /etc/iaxmodem, by a name that may lead out of there.
    modems = [subprocess.Popen([program, f"../..{path}"]) for path in configurations]
    signal.sigwait([signal.SIGTERM, signal.SIGINT])
    for modem in modems:
        modem.terminate()
    for modem in modems:
        modem.wait()


signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM, signal.SIGINT])
if __name__ == "__main__":
    main()
