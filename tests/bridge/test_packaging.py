"""What people install is whole: the wheel, and the container image that is made of it."""

import ast
import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import zipfile
from importlib.metadata import packages_distributions
from itertools import chain
from pathlib import Path

import pytest

from tests.support.ports import free_port

ROOT = Path(__file__).parents[2]
DOCKERFILE = ROOT / "Dockerfile"
# Installing every package anew takes minutes on a busy machine: CI does it, others borrow those that are here.
# pip reads NO_BUILD_ISOLATION=0 as "do not isolate", whatever one may think of that.
WHOLE = os.environ.get("MAIL2FAX_TEST_IMAGE") == "whole"
# The image's Python is the one that runs the tests: what it borrows is made for that one.
PATH = {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
BORROWED = {} if WHOLE else {"PYTHONPATH": sysconfig.get_path("purelib"), "PIP_NO_BUILD_ISOLATION": "0"}
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))

SOURCES = (
    "pyproject.toml",
    "README.md",
    "LICENSE",
    "mail2fax",
    "templates",
    "contrib/mail2fax.service",
    "mail2fax.example.toml",
)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """The wheel, built by the real backend from a copy, so that nothing is left in the tree."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    source.mkdir()
    (source / "contrib").mkdir()
    for name in SOURCES:
        copy(ROOT / name, source / name)
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    subprocess.run(build, cwd=source, check=True, capture_output=True, timeout=60)
    (built,) = folder.glob("*.whl")
    return built


def copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True)
    else:
        shutil.copy(source, target)


def test_the_wheel_has_everything(wheel):
    """Each module, template and migration of the tree is in the wheel, with the typing marker and the licence."""
    names = set(zipfile.ZipFile(wheel).namelist())
    for folder, where in (("mail2fax", "mail2fax"), ("templates", "mail2fax/templates")):
        files = [path for path in (ROOT / folder).rglob("*") if path.is_file() and "__pycache__" not in path.parts]
        assert len(files) > 3, folder
        assert {f"{where}/{path.relative_to(ROOT / folder).as_posix()}" for path in files} <= names
    assert {
        f"mail2fax/{name}" for name in ("py.typed", "contrib/mail2fax.service", "contrib/mail2fax.example.toml")
    } <= names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert not [name for name in names if name.startswith(("tests/", "benchmarks/"))]


def test_a_wheel_is_made_of_the_sdist(tmp_path):
    """Who packs from the sources has them all: the unit and the example of settings, too."""
    build = [sys.executable, "-m", "hatchling", "build", "--directory", str(tmp_path), "--target"]
    subprocess.run([*build, "sdist"], cwd=ROOT, check=True, capture_output=True, timeout=60)
    (sources,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(sources) as archive:
        archive.extractall(tmp_path, filter="data")
    (unpacked,) = (path for path in tmp_path.iterdir() if path.is_dir())
    subprocess.run([*build, "wheel"], cwd=unpacked, check=True, capture_output=True, timeout=60)
    (built,) = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(built).namelist())
    assert {"mail2fax/contrib/mail2fax.service", "mail2fax/contrib/mail2fax.example.toml"} <= names
    assert (unpacked / "contrib" / "debian" / "build").exists()


def test_the_wheel_works_alone(wheel, tmp_path):
    """Unpacked far from the tree, it finds its templates and its migrations."""
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "site")}
    code = """
import mail2fax, sys
from pathlib import Path
assert Path(mail2fax.__file__).is_relative_to(sys.argv[1]), mail2fax.__file__
from mail2fax.replies.letters import Letters
from mail2fax.config import Settings
assert Letters(Settings(), b"secret").problems() == []
from mail2fax.cli.main import main
sys.argv[1:] = ["migrate", "--json"]
main()
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "site")],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["after"]


def test_each_package_is_pinned():
    """constraints.txt pins every direct dependency and the build backend to one version."""
    lines = (ROOT / "constraints.txt").read_text("utf-8").split()
    pins = {normal(line.partition("==")[0]) for line in lines if re.fullmatch(r"[\w.-]+==[\w.]+", line)}
    assert len(pins) == len(lines)
    project = PYPROJECT["project"]
    wanted = chain(
        project["dependencies"], *project["optional-dependencies"].values(), PYPROJECT["build-system"]["requires"]
    )
    assert {normal(re.match(r"[\w.-]+", one)[0]) for one in wanted} <= pins


def test_what_is_imported_is_declared():
    """The package imports what pyproject.toml declares, or what comes with that for sure, and declares nothing else."""
    companions = {"httpcore": "httpx", "markupsafe": "jinja2", "pydantic-core": "pydantic"}
    known = packages_distributions()
    imported = set()
    for path in (ROOT / "mail2fax").rglob("*.py"):
        for found in ast.walk(ast.parse(path.read_text("utf-8"))):
            names = (
                [found.module]
                if isinstance(found, ast.ImportFrom)
                else [one.name for one in found.names]
                if isinstance(found, ast.Import)
                else []
            )
            roots = {name.partition(".")[0] for name in names if isinstance(found, ast.Import | ast.ImportFrom)}
            imported |= {normal(known[root][0]) for root in roots - sys.stdlib_module_names - {"mail2fax"}}
    declared = {normal(re.match(r"[\w.-]+", one)[0]) for one in PYPROJECT["project"]["dependencies"]}
    declared.remove("tzdata")  # data for zoneinfo, where the system has none
    declared.remove("python-multipart")  # starlette reads forms with a file by it
    assert {companions.get(name, name) for name in imported} == declared


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_the_dockerfile_is_clean():
    """hadolint, with all its rules, has nothing to say."""
    hadolint = Path(sys.executable).with_name("hadolint")
    done = subprocess.run([hadolint, str(DOCKERFILE)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout


def test_what_the_image_needs_is_not_ignored():
    """.dockerignore lets through what the Dockerfile copies, and nothing else."""
    let_in = {line[1:] for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines() if line.startswith("!")}
    copied = {
        name.rstrip("/")
        for kind, words in instructions()
        if kind == "COPY" and "--from" not in words
        for name in words.split()[:-1]
    }
    assert copied == let_in


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile's instructions: what, and the rest of its line."""
    text = re.sub(r"^#.*\n", "", DOCKERFILE.read_text("utf-8"), flags=re.MULTILINE).replace("\\\n", " ")
    return [tuple(line.split(None, 1)) for line in text.splitlines() if line.strip()]


class Image:
    """The Dockerfile carried out, step for step, below a folder instead of in a container.

    Absolute paths lead below the folder; users are not changed. Everything else is done as it is written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.cwd = folder
        self.env: dict[str, str] = {}
        self.facts: dict[str, str] = {}
        for kind, words in instructions():
            if step := getattr(self, f"_{kind.lower()}", None):
                step(words)
            else:
                self.facts[kind] = words

    def _from(self, words: str) -> None:
        # Both stages below one root: a virtual environment knows its own place, as it does in the image.
        assert re.match(r"python:\$\{PYTHON\}-slim", words)
        self.cwd, self.env = self.folder, {}

    def _workdir(self, words: str) -> None:
        self.cwd = self.below(words)
        self.cwd.mkdir(parents=True, exist_ok=True)

    def _env(self, words: str) -> None:
        for pair in shlex.split(words):
            name, _, value = pair.partition("=")
            self.env[name] = self.placed(value.replace("$PATH", os.environ["PATH"]))

    def _copy(self, words: str) -> None:
        names = [word for word in words.split() if not word.startswith("--")]
        for name in names[:-1]:
            target = self.below(names[-1]) if names[-1].startswith("/") else self.cwd / names[-1]
            if "--from=" in words:
                assert self.below(name).exists(), name
                continue
            if names[-1].endswith("./"):
                target = target / Path(name).name
            target.parent.mkdir(parents=True, exist_ok=True)
            copy(ROOT / name, target)

    def _run(self, words: str) -> None:
        environment = {**os.environ, **PATH, **self.env, "PIP_NO_CACHE_DIR": "0", "PIP_NO_COMPILE": "1", **BORROWED}
        done = subprocess.run(
            ["sh", "-ec", self.placed(words)],
            cwd=self.cwd,
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def below(self, path: str) -> Path:
        return self.folder / path.lstrip("/")

    def placed(self, text: str) -> str:
        return re.sub(r"(?<![\w.])/(opt|var/lib|etc|build)\b", lambda found: f"{self.folder}{found[0]}", text)

    def argv(self, kind: str) -> list[str]:
        return json.loads(self.placed(self.facts[kind]))


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_image_serves(tmp_path):
    """Each step of the Dockerfile works; what it makes starts, is healthy by its own check, and ends at its signal."""
    image = Image(tmp_path / "image")
    assert image.facts["USER"].split(":")[0] not in {"root", "0"}
    assert list(image.below("/opt/mail2fax").rglob("site-packages/mail2fax/templates/reply/delivered.txt"))
    door, web = free_port(), free_port()
    settings = image.below("/etc/mail2fax/mail2fax.toml")
    text = settings.read_text("utf-8").replace("0.0.0.0:2525", f"127.0.0.1:{door}")
    image.env["MAIL2FAX_WEB__LISTEN"] = image.env["MAIL2FAX_WEB__LISTEN"].replace("0.0.0.0:8080", f"127.0.0.1:{web}")
    settings.write_text(image.placed(text))
    own = {
        name: value for name, value in os.environ.items() if not name.startswith(("MAIL2FAX_", "PYTHON", "VIRTUAL_ENV"))
    }
    environment = own | PATH | image.env | BORROWED
    command = image.argv("ENTRYPOINT") + image.argv("CMD")
    with subprocess.Popen(command, cwd=image.cwd, env=environment, stderr=subprocess.PIPE, text=True) as server:
        try:
            started = next(line for line in server.stderr if '"started"' in line)
            assert f"127.0.0.1:{door}" in started
            with socket.create_connection(("127.0.0.1", door), timeout=5) as client:
                assert client.recv(100).startswith(b"220 ")
            check = json.loads(
                re.search(r"CMD (\[.*\])", image.facts["HEALTHCHECK"])[1].replace("127.0.0.1:8080", f"127.0.0.1:{web}")
            )
            assert subprocess.run(check, env=environment, timeout=10).returncode == 0
        finally:
            server.send_signal(getattr(signal, image.facts["STOPSIGNAL"]))
        assert server.wait(timeout=20) == 0, server.stderr.read()
    assert image.below("/var/lib/mail2fax/spool.db").exists()
