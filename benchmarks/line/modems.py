"""Two soft modems on a loopback of their own, one dialling the other, for as long as this process lives.

    unshare --net python modems.py [--exchange PORT,CALLER,CALLED] IAXMODEM CONFIGURATION CONFIGURATION

With an exchange between them, some numbers go wrong (exchange.py). iaxmodem binds its port on all addresses and takes calls from anyone, hence the network namespace.
"""

import fcntl
import signal
import socket
import struct
import subprocess
import sys
from pathlib import Path

_GET_FLAGS, _SET_FLAGS, _UP = 0x8913, 0x8914, 1  # netdevice(7)


def loopback_up() -> None:
    """A new namespace has its loopback interface down."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_one:
        (flags,) = struct.unpack_from("h", fcntl.ioctl(any_one, _GET_FLAGS, struct.pack("16sh14x", b"lo", 0)), 16)
        fcntl.ioctl(any_one, _SET_FLAGS, struct.pack("16sh14x", b"lo", flags | _UP))


def main() -> None:
    """Until SIGTERM."""
    exchange = sys.argv[2].split(",") if sys.argv[1] == "--exchange" else []
    program, *configurations = sys.argv[3 if exchange else 1 :]
    loopback_up()
    modems = []
    if exchange:
        modems.append(subprocess.Popen([sys.executable, Path(__file__).with_name("exchange.py"), *exchange]))
    # iaxmodem looks for its file in /etc/iaxmodem, by a name that may lead out of there.
    modems += [subprocess.Popen([program, f"../..{path}"]) for path in configurations]
    signal.sigwait([signal.SIGTERM, signal.SIGINT])
    for modem in modems:
        modem.terminate()
    for modem in modems:
        modem.wait()


signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM, signal.SIGINT])
if __name__ == "__main__":
    main()
