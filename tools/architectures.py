"""The package on other architectures: built and tested in a root of each (tools/roots.py).

Where this machine is another one, qemu's user mode runs the root's programs and a cross compiler
builds the extension. Ceph's daemons are this machine's own, in the root of the same suite: the
tests reach them over loopback.
"""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from tools import roots

# Also tells what the wheel's file and its extension are called.
BUILD = """
set -eu
[ -x venv/bin/python ] || python3 -m venv --system-site-packages venv
venv/bin/python -m pip install --quiet --upgrade pip
[ "$(cat built/.sha256 2>/dev/null || true)" != "$2" ] || exit 0
rm -rf built
venv/bin/python -m pip install --quiet pytest pytest-timeout pytest-xdist hypothesis numpy
venv/bin/python -m pip wheel --quiet --no-deps --wheel-dir built "$1"
venv/bin/python -m pip install --quiet --force-reinstall --no-deps built/*.whl
echo "$2" >built/.sha256
"""

# Emulated instructions take ten times as long, and qemu passes no fault on to another's handler.
SECONDS = 1200

# Topics of wheel.TOPICS that an emulator cannot run, each with the reason.
LEFT_OUT: dict[str, str] = {}


def build(architecture: roots.Architecture, sdist: Path, digest: str, directory: Path) -> Path:
    """Build the wheel inside the root and install it; return the interpreter."""
    settings = []
    if architecture.emulated():
        prefix = architecture.compiler.removeprefix("g++-")
        settings = [f"CC={prefix}-gcc", f"CXX={prefix}-g++"]
    command = ["env", *settings, "bash", "-c", BUILD, "build", str(sdist), digest]
    roots.run_inside(architecture.root, command, directory, binds=[sdist.parent])
    return directory / "venv/bin/python"


@contextlib.contextmanager
def cluster(architecture: roots.Architecture, python: Path, directory: Path) -> Iterator[Path]:
    """Run a cluster of this machine's daemons; give the path of its configuration."""
    place, running, told = (directory / name for name in ("cluster", "running", "conf"))
    told.unlink(missing_ok=True)
    running.touch()
    wait = f'echo "$CEPH_CONF" >{told}.new; mv {told}.new {told}; while [ -e {running} ]; do sleep 1; done'
    command = [str(python), "-m", "rbd.testing", "--directory", str(place), "--", "sh", "-c", wait]
    line = roots.inside(
        roots.root_of(architecture.suite), command, binds=[directory, python.parents[2]]
    )
    process = subprocess.Popen(line, env=roots.environment(), stdin=subprocess.DEVNULL)
    try:
        while not told.exists():
            if process.poll() is not None:
                raise roots.RootError("the cluster did not start")
            time.sleep(0.1)
        yield Path(told.read_text().strip())
    finally:
        running.unlink(missing_ok=True)
        process.wait()
