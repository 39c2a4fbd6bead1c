"""The wheels of pyproject.toml's cibuildwheel configuration, built without containers.

Usage:
    python -m tools.wheels [--to DIRECTORY] [PYTHON-ARCHITECTURE ...]    for instance cp39-x86_64

Each wheel needs an interpreter: a root's (tools/roots.py, tools/foreign.py), the one without a lock
of tools/free_threading.py, or another one of this machine, as pyenv installs them. A wheel without
an interpreter is reported as missing, with what was looked for. A wheel's manylinux tag is that of
the system it is built on; cibuildwheel's containers have older systems.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tools import floors, foreign, free_threading, results, roots, sdists, wheel

# No librbd, also on a machine that has one.
NO_LIBRARY = "RBD_LIBRARY=/nonexistent/librbd.so.1"

# The steps before auditwheel. This machine runs auditwheel for every processor, because an emulated
# one would take long.
BUILD = """
set -eu
[ "$(cat raw/.sha256 2>/dev/null || true)" != "$2" ] || exit 0
rm -rf raw tools
"$3" -m venv tools
tools/bin/python -m pip wheel --quiet --no-deps --wheel-dir raw "$1"
rm -rf tools
echo "$2" >raw/.sha256
"""

# Installs the wheel into a new environment, and runs what cibuildwheel runs.
CHECK = """
set -eu
"$2" -m venv --clear checked
checked/bin/python -m pip install --quiet --no-index --no-deps "$1"
env "$4" checked/bin/python "$3"
"""


@dataclass(frozen=True)
class Builder:
    """How one wheel is built: the interpreter, and the root ("" for this machine)."""

    tag: str
    machine: str
    root: str
    interpreter: str
    missing: str = ""

    @property
    def name(self) -> str:
        """Return the wheel's interpreter and processor."""
        return f"{self.tag}-{self.machine}"


def configured(page: str) -> list[tuple[str, str]]:
    """Return the interpreters and processors of cibuildwheel's configuration."""
    table = page.split("[tool.cibuildwheel]")[1]
    build = re.search(r"^build = \[(.*?)\]", table, re.MULTILINE | re.DOTALL)
    archs = re.search(r"^archs = \[(.*?)\]", table, re.MULTILINE | re.DOTALL)
    if not build or not archs:
        raise roots.RootError("pyproject.toml names no wheels")
    tags = re.findall(r'"(cp\d+t?)-\*"', build[1])
    return [(tag, machine) for machine in re.findall(r'"(\w+)"', archs[1]) for tag in tags]


def version_of(tag: str) -> str:
    """Return the version of Python of a tag: cp314t is 3.14."""
    digits = tag.removeprefix("cp").removesuffix("t")
    return f"{digits[0]}.{digits[1:]}"


def tag_of(version: str) -> str:
    """Return the tag of a version of Python: 3.11 is cp311."""
    return f"cp{version.replace('.', '')}"


def own_interpreter(version: str) -> str:
    """Return this machine's interpreter of a version that can build an extension, or nothing."""
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    found = [str(path) for path in sorted(pyenv.glob(f"versions/{version}.*/bin/python3"))]
    on_path = shutil.which(f"python{version}")
    asked = (
        "import sys, sysconfig as s; print(*sys.version_info[:2], s.get_path('include'), sep=' ')"
    )
    for path in [*found, *([on_path] if on_path else [])]:
        said = subprocess.run([path, "-c", asked], check=False, capture_output=True, text=True)
        parts = said.stdout.split()
        if ".".join(parts[:2]) == version and Path(parts[2], "Python.h").exists():
            return path
    return ""


def builder(tag: str, machine: str) -> Builder:
    """Find the interpreter for one wheel."""
    version, native = version_of(tag), machine == platform.machine()
    processor = next((one for one in foreign.architectures() if one.machine == machine), None)
    release = next((one for one in roots.releases() if one.python == version), None)
    if tag.endswith("t"):
        newest = free_threading.release()
        if native and newest.python == version:
            return Builder(tag, machine, newest.suite, str(free_threading.PREFIX / "bin/python3"))
        why = "CPython without the lock takes hours to build under an emulator"
        return Builder(tag, machine, "", "", why)
    if release and (native or processor):
        root = release.suite if native or not processor else processor.root_of(release.suite)
        return Builder(tag, machine, root, "python3")
    own = own_interpreter(version) if native else ""
    missing = "" if own else f"no Debian root has CPython {version}"
    return Builder(tag, machine, "", own, missing + ("" if native or own else f" for {machine}"))


def builders(names: Sequence[str] = ()) -> list[Builder]:
    """Return the builders of all wheels, or of those that are named."""
    every = [builder(*one) for one in configured(floors.PYPROJECT.read_text())]
    known = [one.name for one in every]
    for name in names:
        if name not in known:
            raise roots.RootError(f"no wheel is called {name!r}; there are {', '.join(known)}")
    return [one for one in every if not names or one.name in names]


def run(one: Builder, command: Sequence[str], directory: Path) -> None:
    """Run a command where the builder is."""
    if one.root:
        roots.run_inside(one.root, command, directory)
        return
    done = subprocess.run(command, check=False, cwd=directory, capture_output=True, text=True)
    if done.returncode:
        raise roots.RootError(f"status {done.returncode}: {done.stdout}{done.stderr}")


def here(command: Sequence[str]) -> str:
    """Run a module of this process's environment. Return its output."""
    own = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    line = [sys.executable, "-m", *command]
    done = subprocess.run(line, check=False, env=own, capture_output=True, text=True)
    if done.returncode:
        raise roots.RootError(f"{command[0]}: {done.stdout}{done.stderr}")
    return done.stdout


def build(one: Builder, sdist: Path, directory: Path) -> Path:
    """Build one wheel, unless it was built from the same sdist already. Return its file."""
    place = directory / one.name
    place.mkdir(parents=True, exist_ok=True)
    processor = next((p for p in foreign.architectures() if p.machine == one.machine), None)
    suite = one.root.split("-")[0]
    settings: dict[str, str] = {}
    if processor and one.root == processor.root_of(suite):
        foreign.make(processor, suite)
        settings = processor.compilers()
    elif one.root:
        roots.make(suite)
    if one.tag.endswith("t"):
        free_threading.make()
    shutil.copy(sdist, place)
    digest = hashlib.sha256(sdist.read_bytes()).hexdigest()
    variables = ["env", *(f"{key}={value}" for key, value in settings.items())]
    arguments = [str(place / sdist.name), digest, one.interpreter]
    run(one, [*variables, "sh", "-c", BUILD, "build", *arguments], place)
    shutil.rmtree(place / "repaired", ignore_errors=True)
    raw = next((place / "raw").glob("*.whl"))
    here(["auditwheel", "repair", "--wheel-dir", str(place / "repaired"), str(raw)])
    return next((place / "repaired").glob("*.whl"))


def make(one: Builder, sdist: Path, directory: Path) -> results.Published:
    """Build and check one wheel."""
    made = results.Published(one.tag, one.machine, reason=one.missing)
    if one.missing:
        return made
    place = directory / one.name
    try:
        file = build(one, sdist, directory)
        made.file, made.size = file.name, file.stat().st_size
        smoke = roots.REPOSITORY / "tools" / "without_ceph.py"
        shutil.copy(smoke, place)
        check = ["sh", "-c", CHECK, "check", str(file), one.interpreter]
        run(one, [*check, str(place / smoke.name), NO_LIBRARY], place)
        made.problems = wheel.content_problems(file, place)
        shown = here(["auditwheel", "show", str(file)])
        if "manylinux" not in shown:
            made.problems.append(f"auditwheel says: {shown}")
        here(["twine", "check", "--strict", str(file), str(sdist)])
    except (roots.RootError, subprocess.TimeoutExpired) as error:
        made.problems.append(str(error))
    print(f"{one.name}: {made.file or made.problems}", flush=True)
    return made


def make_all(sdist: Path, directory: Path, names: Sequence[str] = ()) -> list[results.Published]:
    """Build and check the wheels, one after the other."""
    return [make(one, sdist, directory) for one in builders(names)]


def main(arguments: Sequence[str]) -> int:
    """Run the command that the top of this file describes."""
    parser = argparse.ArgumentParser(description="Build the wheels without containers.")
    parser.add_argument("--to", type=Path, default=roots.REPOSITORY / "dist", help="(dist)")
    parser.add_argument("names", nargs="*", help="wheels, as cp39-x86_64; default: all")
    options = parser.parse_args(arguments)
    directory = roots.home().parent / "matrix"
    try:
        chosen = builders(options.names)
        sdist = sdists.make(directory / "published")
    except roots.RootError as error:
        print(f"wheels: {error}", file=sys.stderr)
        return 1
    options.to.mkdir(parents=True, exist_ok=True)
    shutil.copy(sdist, options.to)
    failed = 0
    for one in chosen:
        made = make(one, sdist, directory / "wheels")
        if made.file:
            shutil.copy(directory / "wheels" / one.name / "repaired" / made.file, options.to)
        if made.reason:
            print(f"{one.name}: missing: {made.reason}")
        for problem in made.problems:
            failed = 1
            print(f"{one.name}: {problem}", file=sys.stderr)
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
