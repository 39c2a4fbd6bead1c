"""Run the tests on each Ceph release, from one sdist and from one wheel, and print one table.

Usage:
    python -m tools.matrix [--no-wheel] [RELEASE ...] [-- PYTEST ARGUMENT ...]
    python -m tools.matrix --table      print the table of the last whole run
    python -m tools.matrix --check      fail where README's table is not that one

A release is named by its Ceph version (`14.2`) or Debian suite; without one, all are run. Each has
its own root (tools/roots.py), virtual environment and cluster. A suite that the mirror no longer
serves is reported and left out of the count. The wheel is built once, in the oldest root
(tools/wheel.py). Whole runs are kept in docs/_data/matrix.json, and README's table is made from it.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from tools import results, roots, wheel

# What each environment reports about itself.
FACTS = """
import json, platform, subprocess, rbd
info = rbd.library_info()
ceph = subprocess.run(["ceph", "--version"], capture_output=True, text=True).stdout.split()
print(json.dumps({
    "ceph_version": ceph[2] if len(ceph) > 2 else "",
    "python_version": platform.python_version(),
    "librbd_version": ".".join(map(str, info.version)),
    "missing": sorted(info.missing),
}))
"""

# What `./dev test` does before the tests, in an environment that is kept beside the source.
SET_UP = ["env", "RBD_VENV=../venv", "bash", "-euo", "pipefail", "-c", ". tools/setup.sh; setup"]


def make_sdist(directory: Path) -> Path:
    """Build the source distribution that everything is tested from."""
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

    A file that is there already and the same is left alone, so that its time stays and what was
    built from it counts as built. What was built, in `build`, is kept too.
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


def run_tests(
    result: results.Result, directory: Path, python: Path, arguments: Sequence[str]
) -> None:
    """Run the unpacked tests with one interpreter inside the release's root, and count them."""
    try:
        facts = roots.run_inside(result.suite, [str(python), "-c", FACTS], directory)
        for key, value in json.loads(facts).items():
            setattr(result, key, value)
    except (roots.RootError, ValueError) as error:
        result.status, result.reason = "not usable", str(error)
        return
    report = directory / f"{result.suite}.xml"
    report.unlink(missing_ok=True)
    line = [str(python), "-m", "pytest", "-q", f"--junitxml={report}", *arguments]
    try:
        roots.run_inside(result.suite, line, directory / "source", binds=[directory], quiet=False)
    except subprocess.TimeoutExpired as expired:
        result.status, result.reason = "hung", f"no end after {expired.timeout:.0f} seconds"
        return
    except roots.RootError as error:
        # Failed tests are in the report; without one, pytest itself did not run.
        if not report.exists():
            result.status, result.reason = "not run", str(error)
            return
    result.status = "tested"
    results.read_report(result, report)


def run_release(release: roots.Release, sdist: Path, arguments: Sequence[str]) -> results.Result:
    """Test one release from the sdist."""
    result = results.Result(**asdict(release))
    try:
        roots.make(release.suite)
    except roots.RootError as error:
        result.status, result.reason = "unreachable", str(error)
        return result
    directory = sdist.parent.parent / release.suite
    unpack(sdist, directory / "source")
    try:
        roots.run_inside(release.suite, SET_UP, directory / "source", binds=[directory])
    except roots.RootError as error:
        result.status, result.reason = "not installed", str(error)
        return result
    run_tests(result, directory, directory / "venv/bin/python", arguments)
    return result


def run_wheel(
    selected: Sequence[roots.Release], sdist: Path, arguments: Sequence[str]
) -> results.Wheel:
    """Build the one wheel and run it, with the interpreter it was built for, on each release."""
    directory = sdist.parent.parent / "wheel"
    roots.make(roots.BARE)
    unpack(sdist, directory / "source")
    built = wheel.build(sdist, directory)
    run = results.Wheel(built.name, built.stat().st_size, problems=wheel.problems(built, directory))
    python = wheel.environment(built, directory)
    run.problems += wheel.problems_without_ceph(built, directory)
    for release in selected:
        print(f"== {built.name} on Ceph {release.ceph}", flush=True)
        result = results.Result(**asdict(release))
        run_tests(result, directory, python, arguments)
        run.results.append(result)
    return run


def chosen(names: Sequence[str]) -> list[roots.Release]:
    """Return the releases that the command line names."""
    known = roots.releases()
    for name in names:
        if not any(name in (one.ceph, one.suite) for one in known):
            there = ", ".join(f"{one.ceph} ({one.suite})" for one in known)
            raise roots.RootError(f"no release is called {name!r}; there are {there}")
    return [one for one in known if not names or one.ceph in names or one.suite in names]


def run_matrix(names: Sequence[str], arguments: Sequence[str], *, with_wheel: bool) -> int:
    """Run the matrix and print its table; a whole run is kept."""
    sdist = make_sdist(roots.home().parent / "matrix" / "sdist")
    run = results.Run([])
    for release in chosen(names):
        print(f"== Ceph {release.ceph} on Debian {release.suite}", flush=True)
        run.releases.append(run_release(release, sdist, arguments))
    if with_wheel:
        there = [one.suite for one in run.releases if one.status != "unreachable"]
        reached = [one for one in roots.releases() if one.suite in there]
        run.wheel = run_wheel(reached, sdist, arguments)
    print(run.table())
    for one in run.releases:
        for why, count in one.skips.items():
            print(f"Ceph {one.ceph}: {count} skipped: {why}")
        if one.status == "unreachable":
            print(f"Ceph {one.ceph}: unreachable: {one.reason}")
    if with_wheel and not names and not arguments:
        run.save()
    for problem in run.problems():
        print(problem, file=sys.stderr)
    return 1 if run.problems() else 0


def main(arguments: Sequence[str]) -> int:
    """Do what the top of this file says."""
    own = list(arguments)
    rest = own[own.index("--") + 1 :] if "--" in own else []
    own = own[: own.index("--")] if "--" in own else own
    parser = argparse.ArgumentParser(description="Run the tests on each Ceph release.")
    parser.add_argument("--table", action="store_true", help="print the last whole run's table")
    parser.add_argument("--check", action="store_true", help="hold README against the last run")
    parser.add_argument("--no-wheel", action="store_true", help="leave out the one wheel")
    parser.add_argument("releases", nargs="*", help="Ceph versions or Debian suites; default: all")
    options = parser.parse_args(own)
    try:
        if options.table:
            print(results.load().table())
            return 0
        if options.check:
            page = results.README.read_text()
            if results.load().into(page) == page:
                return 0
            raise roots.RootError("README's compatibility table is not the last run's")
        return run_matrix(options.releases, rest, with_wheel=not options.no_wheel)
    except roots.RootError as error:
        print(f"matrix: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
