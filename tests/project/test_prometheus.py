"""contrib/prometheus: the alerts name metrics that there are, and Prometheus' own tool tries them."""

import re
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from mail2fax.model import State
from mail2fax.spool.overview import Standing
from mail2fax.spool.questions import Trouble
from mail2fax.web.metrics import Metrics

FOLDER = Path(__file__).parents[2] / "contrib" / "prometheus"


def test_each_metric_is_there():
    """No alert waits for what is never told: each series is there from the start, with the labels that are asked."""
    now = datetime.now(UTC)
    trouble = Trouble("", "held", 3, now, now, "HTTP 403")
    waiting = dict.fromkeys((State.RECEIVED, State.PREPARED), 0)
    standing = Standing(now, waiting, {}, held=0, owed=0, undeliverable=0, notices=0, troubles=[trouble])
    told = Metrics().exposition(standing, up=True, ready=True, free_bytes=1).decode()
    expressions = re.findall(r"expr: (.*)", (FOLDER / "mail2fax.rules.yml").read_text("utf-8"))
    assert len(expressions) > 5
    for name, labels in re.findall(r"(mail2fax_\w+)(?:\{([^}]*)\})?", "\n".join(expressions)):
        assert any(line.startswith(name) and labels in line for line in told.splitlines()), (name, labels)


@pytest.mark.skipif(not shutil.which("promtool"), reason="promtool is not installed")
@pytest.mark.parametrize("words", [("check", "rules", "mail2fax.rules.yml"), ("test", "rules", "mail2fax.test.yml")])
def test_promtool(words):
    """The alerts fire when they should, and only then."""
    done = subprocess.run(["promtool", *words], cwd=FOLDER, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
