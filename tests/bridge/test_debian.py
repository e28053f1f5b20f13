"""The Debian package, in a bare Debian that systemd boots: installed, set up, a mail faxed and answered, and so on."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
INSIDE = ROOT / "tests" / "support" / "debian_root.sh"
PACKAGES = "mount,python3,postfix,systemd-sysv,dbus"  # on top of what Debian has when nothing is installed
# What runs in there once systemd has booted it, and takes it down again with its exit status.
UNIT = """
[Unit]
After=network.target
[Service]
Type=oneshot
ExecStart=/bin/bash /inside.sh
ExecStopPost=/bin/systemctl exit $EXIT_STATUS
StandardOutput=file:/said
StandardError=inherit
"""
# Its calls for Landlock and seccomp are not among those that systemd-nspawn lets through of its own accord.
CALLS = "--system-call-filter=landlock_create_ruleset landlock_add_rule landlock_restrict_self seccomp"
BOOT = (
    "systemd-nspawn",
    "--quiet",
    "--register=no",
    "--keep-unit",
    "--private-network",
    CALLS,
    "--boot",
    "--directory",
)
# Where systemd cannot be booted: a root of its own, with mounts, processes and a network that nobody else sees.
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


def boot(bare: Path, own: dict[str, str]) -> str:
    """What was said under a systemd of its own; nothing where this machine cannot boot one."""
    wanted = bare / "etc/systemd/system/multi-user.target.wants"
    wanted.mkdir(parents=True, exist_ok=True)
    (wanted.parent / "inside.service").write_text(UNIT)
    (wanted / "inside.service").symlink_to("../inside.service")
    if not shutil.which(BOOT[0]):
        return ""
    booted = subprocess.run(
        [*BOOT, bare], env=own, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=600, check=False
    )
    said = bare / "said"
    if not said.exists():
        print(f"systemd did not boot: {booted.stdout[-1000:]}{booted.stderr[-1000:]}")
        return ""
    assert booted.returncode == 0, said.read_text()[-8000:]
    return said.read_text()


def enter(bare: Path, own: dict[str, str]) -> str:
    """What was said without a systemd."""
    spaces = ("unshare", "--mount", "--net", "--pid", "--fork", "--kill-child")
    return run(*spaces, "sh", "-ec", ENTER, "sh", bare, timeout=600, env=own)


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
    said = boot(bare, own) or enter(bare, own)
    with capsys.disabled():
        print("\n".join(line for line in said.splitlines() if line.startswith("==")))
    assert "== purged" in said
    assert int(re.search(r"to the reply: (\d+) s", said)[1]) < 600
