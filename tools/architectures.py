"""The package on other processors: built and tested in a root of each (tools/foreign.py).

Ceph's daemons run on this machine's processor, in the root of the same suite. The tests reach them
over loopback. Tests that take too long under an emulator, or need their own daemons, are left out
by name and counted (tools/releases.json has the names and reasons).
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import platform
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from tools import foreign, results, roots, wheel, wheels

# The sdist is built there too, to check that this is possible.
SDIST = """
set -eu
[ -x venv/bin/python ] || python3 -m venv --system-site-packages venv
[ "$(cat built/.sha256 2>/dev/null || true)" != "$1" ] || exit 0
rm -rf built
venv/bin/python -m pip install --quiet --upgrade pip build
venv/bin/python -m build --sdist --outdir built source
venv/bin/python -m pip install --quiet --force-reinstall --no-deps "$2"
venv/bin/python -m pip install --quiet "$2[test]"
echo "$1" >built/.sha256
"""

# The daemons' environment needs only the package itself.
DAEMONS = """
set -eu
python3 -m venv --clear venv
venv/bin/python -m pip install --quiet --no-index --no-deps "$1"
"""

# Runs until its file is gone.
WAIT = 'echo "$CEPH_CONF" >"$1.new"; mv "$1.new" "$1"; while [ -e "$1" ]; do sleep 1; done'

# How many times longer a test may take under an emulator.
PATIENCE = 10
SECONDS = 120 * PATIENCE
START_SECONDS = 300


def topics(architecture: foreign.Architecture) -> list[str]:
    """Return the files of tests that run on a processor."""
    found = []
    for topic in architecture.tests:
        found += wheel.CORE if topic == "core" else [f"tests/test_{topic}.py"]
    return found


def settings(architecture: foreign.Architecture) -> dict[str, str]:
    """Return the environment for building and testing on a processor."""
    left_out = {name: results.LEFT_OUT + why for name, why in architecture.left_out.items()}
    own = {"RBD_TEST_LEFT_OUT": json.dumps(left_out), "RBD_TEST_SECONDS": str(SECONDS)}
    if not architecture.emulated:
        return own
    return {**architecture.compilers(), **own, "RBD_TEST_PATIENCE": str(PATIENCE)}


# Further options of pytest.
OPTIONS = ["-p", "tools.left_out"]


def build(
    architecture: foreign.Architecture, sdist: Path, directory: Path, wheels_directory: Path
) -> tuple[Path, list[str]]:
    """Build sdist and wheel, and install the wheel. Return the interpreter and the files."""
    release = next(one for one in roots.releases() if one.suite == architecture.suite)
    tag = wheels.tag_of(release.python)
    builder = wheels.Builder(tag, architecture.machine, architecture.root, "python3")
    file = wheels.build(builder, sdist, wheels_directory)
    digest = hashlib.sha256(sdist.read_bytes()).hexdigest()
    command = ["sh", "-c", SDIST, "build", digest, str(file)]
    roots.run_inside(architecture.root, command, directory, binds=[file.parent])
    made = next((directory / "built").glob("*.tar.gz"))
    return directory / "venv/bin/python", [made.name, file.name]


def daemons(
    architecture: foreign.Architecture, sdist: Path, directory: Path, wheels_directory: Path
) -> Path:
    """Install the package beside this machine's daemons. Return the interpreter."""
    directory.mkdir(parents=True, exist_ok=True)
    release = next(one for one in roots.releases() if one.suite == architecture.suite)
    tag = wheels.tag_of(release.python)
    builder = wheels.Builder(tag, platform.machine(), architecture.suite, "python3")
    file = wheels.build(builder, sdist, wheels_directory)
    command = ["sh", "-c", DAEMONS, "daemons", str(file)]
    roots.run_inside(architecture.suite, command, directory, binds=[file.parent])
    return directory / "venv/bin/python"


@contextlib.contextmanager
def cluster(suite: str, python: Path, directory: Path) -> Iterator[Path]:
    """Run a cluster of this machine's daemons. Yield the path of its configuration."""
    place, told = directory / "cluster", directory / "cluster.conf"
    told.unlink(missing_ok=True)
    roots.run(["rm", "-rf", place])
    command = [str(python), "-m", "rbd.testing", "--mgr", "--directory", str(place)]
    command += ["--", "sh", "-c", WAIT, "wait", str(told)]
    line = roots.inside(
        roots.root_of(suite), command, binds=[directory, python.parents[2]], directory="/"
    )
    process = subprocess.Popen(line, env=roots.environment(), stdin=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + START_SECONDS
        while not told.exists():
            if process.poll() is not None or time.monotonic() > deadline:
                raise roots.RootError(f"the cluster of {suite} did not start")
            time.sleep(0.1)
        yield Path(told.read_text().strip())
    finally:
        told.unlink(missing_ok=True)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
