"""Ports that stay free until somebody listens on them, and from one start of a server to the next."""

import random
import socket

# Below those that the kernel gives to connections (ip_local_port_range): a port out of its own hands may be the near
# end of somebody's connection a moment later, and then nobody can listen there.
_RANGE = (20_000, 32_000)
_chance = random.SystemRandom()  # tests that run beside each other, and begin with the same seed, choose others
_given: set[int] = set()


def free_port() -> int:
    """A port of the loopback interface that nobody has, and that this process gave to nobody else."""
    while True:
        port = _chance.randrange(*_RANGE)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        if port not in _given:
            _given.add(port)
            return port
