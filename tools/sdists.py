"""The source distribution that the matrix builds from."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

from tools import roots


def make(directory: Path) -> Path:
    """Build the source distribution for all tests."""
    shutil.rmtree(directory, ignore_errors=True)
    command = [sys.executable, "-m", "build", "--sdist", "--outdir", str(directory)]
    command.append(str(roots.REPOSITORY))
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    built = sorted(directory.glob("*.tar.gz"))
    if done.returncode or len(built) != 1:
        raise roots.RootError(f"building the sdist failed:\n{done.stdout}{done.stderr}")
    return built[0]


def unpack(sdist: Path, target: Path) -> None:
    """Unpack a source distribution, without its top directory.

    An existing equal file is not changed, so that its time stays and what was built from it counts
    as built. The directory `build` is kept too.
    """
    wanted = set()
    with tarfile.open(sdist) as archive:
        for member in (member for member in archive.getmembers() if member.isfile()):
            path = target / member.name.split("/", 1)[1]
            wanted.add(path)
            stream = archive.extractfile(member)
            content = stream.read() if stream else b""
            if not path.is_file() or path.read_bytes() != content:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
            path.chmod(member.mode)
    for path in target.rglob("*"):
        if path.is_file() and path not in wanted and target / "build" not in path.parents:
            path.unlink()
