"""What the processes for documents know of their surroundings."""

import os
import sys
from collections.abc import Mapping

# All that a worker needs to know of its surroundings. The server's own variables hold tokens and passwords.
_NEEDED = frozenset({"PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "SYSTEMROOT"})


def environment(own: Mapping[str, str]) -> dict[str, str]:
    """The environment of the forkserver, given at its start so that /proc never shows another."""
    kept = {name: value for name, value in own.items() if name in _NEEDED}
    return kept | {
        # As the server imports, so does the forkserver, wherever it was started from.
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        "PYTHONUTF8": "1",
        # Typst would start a thread for each processor, and their stacks count as memory: one document, one thread.
        "RAYON_NUM_THREADS": "1",
    }
