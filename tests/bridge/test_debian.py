"""The Debian package, in a bare Debian: installed, set up, a mail faxed and answered, upgraded, purged."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
INSIDE = ROOT / "tests" / "support" / "debian_root.sh"
PACKAGES = "mount,python3,postfix"  # on top of what Debian has when nothing is installed
# A root of its own: mounts, processes and a network that nobody else sees.
ENTER = """
mount --bind "$1" "$1"; cd "$1"; mkdir -p old
mount -t proc proc proc; mount --rbind /dev dev
ip link set lo up
pivot_root . old; umount -l /old
exec bash /inside.sh
"""


def run(*command, timeout, **how) -> str:
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=timeout, **how)
    assert done.returncode == 0, done.stdout[-8000:]
    return done.stdout


def newer(package: Path, folder: Path) -> Path:
    """The same package as a later version."""
    tree = folder / "newer"
    run("dpkg-deb", "-R", package, tree, timeout=60)
    control = tree / "DEBIAN" / "control"
    control.write_text(re.sub(r"(?m)^Version: .*", "Version: 99.0", control.read_text()))
    run("dpkg-deb", "--root-owner-group", "-Znone", "-b", tree, folder / "new.deb", timeout=60)
    shutil.rmtree(tree)
    return folder / "new.deb"


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.skipif(
    os.environ.get("MAIL2FAX_TEST_IMAGE") != "whole", reason="takes a minute: MAIL2FAX_TEST_IMAGE=whole"
)
@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("mmdebstrap"), reason="needs root and mmdebstrap")
def test_from_the_package_to_a_reply(tmp_path, capsys):
    """Ten minutes are promised from a bare Debian to the first reply; all that is left of it is taken away again."""
    run(ROOT / "contrib" / "debian" / "build", tmp_path, "1.0", cwd=ROOT, timeout=600)
    (package,) = tmp_path.glob("*.deb")
    codename = re.search(r"VERSION_CODENAME=(\w+)", Path("/etc/os-release").read_text())[1]
    bare = tmp_path / "bare"
    command = ("mmdebstrap", "--quiet", "--variant=apt", f"--include={PACKAGES}", codename, bare)
    made = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=600)
    if made.returncode:  # Debian's archive is not to be reached, which is no fault of the package
        pytest.skip(f"no bare Debian could be made: {made.stdout[-300:]}")
    shutil.copy(package, bare / "old.deb")
    newer(package, tmp_path).rename(bare / "new.deb")
    shutil.copy(INSIDE, bare / "inside.sh")
    own = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root"}
    enter = ("unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "sh", "-ec", ENTER, "sh", bare)
    said = run(*enter, timeout=600, env=own)
    with capsys.disabled():
        print("\n".join(line for line in said.splitlines() if line.startswith("==")))
    assert "== purged" in said
    assert int(re.search(r"to the reply: (\d+) s", said)[1]) < 600
