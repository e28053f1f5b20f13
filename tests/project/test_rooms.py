"""The package stays a house in which a stranger finds the room of any line."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "mail2fax"
FOLDERS = sorted({path.parent for path in PACKAGE.rglob("*.py")})
MOST_IN_A_ROOM, MOST_ON_TOP = 20, 10
LONGEST_FILE, LONGEST_FUNCTION = 400, 60


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: str(folder.relative_to(ROOT)))
def test_a_room_can_be_seen_at_a_glance(folder):
    """Not more modules than a person reads in one look, and an opening that says what the room is for."""
    modules = [path for path in folder.glob("*.py") if path.name != "__init__.py"]
    assert len(modules) <= (MOST_ON_TOP if folder == PACKAGE else MOST_IN_A_ROOM)
    assert folder == PACKAGE or ast.get_docstring(ast.parse((folder / "__init__.py").read_text("utf-8")))


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_says_what_it_is_for_and_is_not_long(path):
    """Each opens with its place and its promise, and neither it nor one of its functions is long."""
    text = path.read_text("utf-8")
    tree = ast.parse(text)
    assert ast.get_docstring(tree)
    assert text.count("\n") <= LONGEST_FILE
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    assert not [node.name for node in functions if node.end_lineno - node.lineno >= LONGEST_FUNCTION]


def test_the_pages_name_files_that_are_there():
    """A path in backquotes in docs/ and the README leads somewhere: under the package, or from the top."""
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
    for page in pages:
        for word in page.read_text("utf-8").split("`")[1::2]:
            if "/" in word and word.endswith(".py") and " " not in word and "*" not in word:
                assert (PACKAGE / word).exists() or (ROOT / word).exists(), f"{page.name}: {word}"


@pytest.mark.parametrize("step", ["prepare", "submit", "poll", "reply", "notices", "worker", "pipeline"])
def test_each_step_has_a_test_file_of_its_name(step):
    """Who changes a step finds its tests."""
    assert (PACKAGE / "steps" / f"{step}.py").is_file()
    assert (ROOT / "tests" / "steps" / f"test_{step}.py").is_file()


def test_the_package_runs_as_a_module():
    """`python -m mail2fax` is the same program as `mail2fax`."""
    done = subprocess.run([sys.executable, "-m", "mail2fax", "--help"], capture_output=True, text=True, check=True)
    assert "serve" in done.stdout


def test_the_door_opens_before_all_is_loaded():
    """What replies, providers and documents need is loaded behind the open door: a start is as quick as its imports."""
    listing = "import sys, mail2fax.cli.main, mail2fax.node; print(*sys.modules)"
    ran = subprocess.run([sys.executable, "-c", listing], capture_output=True, text=True, check=True)
    later = {"jinja2", "babel", "aiosmtplib", "httpx", "seccompy", "pikepdf", "phonenumbers", "starlette", "uvicorn"}
    later |= {"alembic", "sqlalchemy.dialects.postgresql", "email.policy", "email_validator"}
    assert not later & set(ran.stdout.split())
