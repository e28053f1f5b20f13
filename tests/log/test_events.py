"""What an operator finds in the log."""

import errno

import pytest
from structlog.testing import capture_logs

from mail2fax import log


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "[Errno 28] No space left on device"),
        (BrokenPipeError(errno.EPIPE, "Broken pipe"), None),
        (FileNotFoundError(errno.ENOENT, "No such file or directory", "page.png"), None),
        (KeyError("pages"), None),
    ],
)
def test_only_a_disk_that_is_full_or_broken_is_told_without_a_traceback(error, told):
    """Anything else is a fault of the program's, whoever raised it."""
    with capture_logs() as said:
        log.step_failed(fax="MAIL-1", state="received", attempts=3, error=error)
    assert said[0].get("error") == told
    assert said[0].get("exc_info") is (None if told else error)
