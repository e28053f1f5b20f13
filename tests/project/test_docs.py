"""The documents say what the code does."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from typer.core import TyperCommand
from typer.main import get_command

from docs import generate, man
from mail2fax.cli.main import app
from mail2fax.config import Settings, loader
from mail2fax.config.keys import BY_VARIABLE, KEYS
from mail2fax.model import FINAL, NEXT, State
from mail2fax.spool import NEEDED

ROOT = Path(__file__).parents[2]
FLOW = (ROOT / "docs" / "flow.md").read_text("utf-8")
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]


def test_the_picture_of_the_states_is_the_table_in_the_code():
    """docs/flow.md draws every move that NEXT allows, and no other."""
    drawn = set(re.findall(r"^ +(\w+) --> (\w+):", FLOW, re.MULTILINE))
    assert drawn == {(state.value, following.value) for state, many in NEXT.items() for following in many}


def test_who_acts_is_who_claims():
    """docs/flow.md names for each state the step that claims it."""
    rows = dict(re.findall(r"^\| `(\w+)` \| (\w+)", FLOW, re.MULTILINE))
    assert rows == {state.value: {"recover": "submit"}.get(NEEDED[state], NEEDED[state]) for state in State}
    assert {state for state in State if rows[state] == "reply"} == FINAL


def _commands() -> dict[str, TyperCommand]:
    return dict(get_command(app).commands)


def test_the_commands_page_is_up_to_date():
    """docs/commands.md is what the commands' own --help says: `make docs` writes it."""
    assert (ROOT / "docs" / "commands.md").read_text("utf-8") == generate.commands()


@pytest.mark.parametrize("name", sorted(_commands()))
def test_each_command_is_explained(name):
    """Each command, argument and option has words of its own."""
    command = _commands()[name]
    assert command.help
    assert all(parameter.help for parameter in command.params), name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_settings_that_are_named_exist(page):
    """Wherever a page says `[section] key`, there is such a key."""
    known = {f"{key.section}.{key.name}" for key in KEYS}
    sections = {key.section for key in KEYS}
    named = re.findall(r"`\[\[?(\w+)\]?\] (\w+)", page.read_text("utf-8"))
    assert {f"{section}.{key}" for section, key in named if section in sections} <= known
    assert {section for section, _ in named} <= sections


@pytest.mark.parametrize(
    "name", ["compose.yaml", "Dockerfile", "contrib/container.toml", "mail2fax.example.toml", "README.md"]
)
def test_variables_that_are_named_exist(name):
    """What is run is set by variables that mail2fax reads."""
    named = set(re.findall(r"MAIL2FAX_[A-Z0-9]+(?:__?[A-Z0-9]+)+", (ROOT / name).read_text("utf-8")))
    assert named <= set(BY_VARIABLE)


def test_the_unit_runs_commands_that_exist():
    """contrib/mail2fax.service calls commands of mail2fax, as a user of its own, and stops at what trying mends not."""
    unit = (ROOT / "contrib" / "mail2fax.service").read_text("utf-8")
    called = re.findall(r"^Exec\w+=/opt/mail2fax/bin/mail2fax (\w+)$", unit, re.MULTILINE)
    assert called == ["serve"]
    assert set(called) <= set(_commands())
    for line in ("User=mail2fax", "Type=notify", "RestartPreventExitStatus=2", "OOMPolicy=continue", "WatchdogSec=60"):
        assert re.search(f"^{line}$", unit, re.MULTILINE)


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd here")
def test_systemd_reads_the_unit(tmp_path):
    """No key is unknown to systemd, and no value is one that it would ignore."""
    unit = (ROOT / "contrib" / "mail2fax.service").read_text("utf-8")
    (tmp_path / "mail2fax.service").write_text(unit.replace("/opt/mail2fax/bin/mail2fax", "/bin/true"))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(tmp_path / "mail2fax.service")], capture_output=True, text=True
    )
    ours = [line for line in done.stderr.splitlines() if "mail2fax.service" in line]
    assert (done.returncode, ours) == (0, [])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_that_are_named_exist(page):
    """Wherever a page says `mail2fax word`, there is such a command."""
    text = page.read_text("utf-8")
    quoted = re.findall(r"`mail2fax ([a-z]+)\b", text)
    quoted += re.findall(
        r"^\$? ?(?:\S*/)?mail2fax ([a-z]+)\b", "\n".join(re.findall(r"```\w*\n(.*?)```", text, re.DOTALL)), re.MULTILINE
    )
    assert set(quoted) <= set(_commands())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    """Each relative link and picture of a page is a file of the project, each anchor a heading."""
    text = page.read_text("utf-8")
    for target in re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r'(?:src|href)="([^"]+)"', text):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        linked = (page.parent / path) if path else page
        assert linked.exists(), target
        if anchor:
            assert anchor in _anchors(linked), target


def test_the_docs_are_a_site(tmp_path):
    """The generator finds every page in its place, and each link between them leads somewhere (make site)."""
    words = ["--fail-on-warning", "--keep-going", "-q", "-b", "html", "-d", str(tmp_path / "trees")]
    command = [sys.executable, "-m", "sphinx", *words, str(ROOT / "docs"), str(tmp_path / "site")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=110)
    assert done.returncode == 0, done.stderr
    built = {page.name for page in (tmp_path / "site").glob("*.html")}
    assert {f"{page.stem}.html" for page in (ROOT / "docs").glob("*.md")} <= built


@pytest.mark.skipif(not shutil.which("groff"), reason="no groff here")
def test_the_manual_page_is_roff():
    """groff has nothing to warn of, and every command stands there."""
    done = subprocess.run(["groff", "-man", "-ww", "-z"], input=man.page(), capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert all(f"\\fBmail2fax {name}\\fR" in man.page() for name in _commands())


def _anchors(page: Path) -> set[str]:
    titles = re.findall(r"^#+ (.*)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_that_are_named_exist(page):
    """Wherever a page names a module, a page or a test, it is there."""
    for name in re.findall(
        r"`((?:mail2fax|docs|tests|benchmarks|contrib|templates|\.ci)/[\w./-]+|\w+\.py)`", page.read_text("utf-8")
    ):
        places = [ROOT / name, ROOT / "mail2fax" / name, ROOT / "mail2fax" / "providers" / name]
        assert any(place.exists() for place in places), name


def test_the_example_is_read(tmp_path):
    """mail2fax.example.toml is a file that mail2fax reads; what it comments out are keys with their defaults."""
    text = (ROOT / "mail2fax.example.toml").read_text("utf-8")
    (tmp_path / "token").write_text("a token")
    example = tmp_path / "mail2fax.toml"
    example.write_text(text)
    settings = loader.load(example, {})
    assert settings.provider.token.get_secret_value() == "a token"

    section, shown = "", 0
    for line in text.splitlines():
        if heading := re.match(r"(?:# )?\[+(\w+)\]", line):
            section = heading[1]
        elif (assignment := re.match(r"# (\w+ = .*?)(?:\s{2,}#.*)?$", line)) and section != "line":
            assert _loaded(tmp_path, f"[{section}]\n{assignment[1]}") == _loaded(tmp_path, ""), assignment[1]
            shown += 1
    assert shown > 10


def _loaded(folder: Path, text: str) -> Settings:
    path = folder / "one.toml"
    path.write_text(text)
    return loader.load(path, {})
