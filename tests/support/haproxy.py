"""Debian's HAProxy before two nodes, as docs/relays.md has it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from tests.support.recipes import adapted
from tests.support.unpacked import running, unpacked

PACKAGES = ["haproxy", "liblua5.3-0", "libopentracing-c-wrapper0", "libopentracing1"]


def recipe(port: int, nodes: Sequence[int]) -> str:
    """The page's configuration, with the addresses of a test."""
    changes = {
        "bind :2525": f"bind 127.0.0.1:{port}",
        "10.1.2.4:2525": f"127.0.0.1:{nodes[0]}",
        "10.1.2.5:2525": f"127.0.0.1:{nodes[1]}",
    }
    return adapted(r"```\n(defaults\n.*?)```", changes)[0]


@contextmanager
def balancing(port: int, nodes: Sequence[int]) -> Iterator[None]:
    """It listens on this port while the context lasts; skipped where it cannot be had."""
    with unpacked(PACKAGES) as (folder, root):
        (folder / "haproxy.cfg").write_text(recipe(port, nodes))
        with running(folder, root, f"{root}/usr/sbin/haproxy -db -f {folder}/haproxy.cfg", port, {}):
            yield
