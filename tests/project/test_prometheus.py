"""contrib/prometheus and contrib/grafana: alerts and panels name metrics that there are, and Prometheus' own tool tries them."""

import json
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
    known = set(re.findall(r"# TYPE (\w+)", told))
    for panel in dashboard()["panels"]:
        for target in panel["targets"]:
            named = set(re.findall(r"\b(?:mail2fax|process)_\w+", target["expr"]))
            assert named and {name.removesuffix("_bucket") for name in named} <= known, panel["title"]


def dashboard():
    """contrib/grafana, as Grafana would read it."""
    return json.loads((FOLDER.parent / "grafana" / "mail2fax.json").read_text("utf-8"))


def test_the_dashboard_is_laid_out_and_sums_over_labels_that_there_are():
    """No panel lies over another or asks for a label that no metric has, and all ask the source that is chosen."""
    taken = set()
    counted = Metrics()
    labels = {label for metric in counted.registry.collect() for sample in metric.samples for label in sample.labels}
    labels |= {name for metric in vars(counted).values() for name in getattr(metric, "_labelnames", ())}
    for panel in dashboard()["panels"]:
        place = panel["gridPos"]
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not cells & taken and place["x"] + place["w"] <= 24, panel["title"]
        taken |= cells
        assert panel["datasource"]["uid"] == "${datasource}"
        for target in panel["targets"]:
            asked = {
                one.strip() for found in re.findall(r"\bby \(([^)]*)\)", target["expr"]) for one in found.split(",")
            }
            shown = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
            assert asked | shown <= labels | {"le", "instance", "state", "line"}, target


@pytest.mark.skipif(not shutil.which("promtool"), reason="promtool is not installed")
def test_promtool_reads_the_dashboard(tmp_path):
    """Each expression is PromQL."""
    targets = [target["expr"] for panel in dashboard()["panels"] for target in panel["targets"]]
    rules = [{"record": f"r:{n}", "expr": expr.replace("$job", ".*")} for n, expr in enumerate(targets)]
    (tmp_path / "rules.json").write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))
    done = subprocess.run(["promtool", "check", "rules", "rules.json"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.skipif(not shutil.which("promtool"), reason="promtool is not installed")
@pytest.mark.parametrize("words", [("check", "rules", "mail2fax.rules.yml"), ("test", "rules", "mail2fax.test.yml")])
def test_promtool(words):
    """The alerts fire when they should, and only then."""
    done = subprocess.run(["promtool", *words], cwd=FOLDER, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
