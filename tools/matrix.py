"""Run the tests on each Ceph release, from one sdist and from one wheel, and print one table.

Usage:
    python -m tools.matrix [--part PART ...] [RELEASE ...] [-- PYTEST ARGUMENT ...]
    python -m tools.matrix --table      print the table of the last whole runs
    python -m tools.matrix --check      fail if README's table is not that one

A release is named by its Ceph version (`14.2`) or Debian suite. Without a name, all are run. Each
has its own root (tools/roots.py), virtual environment and cluster. A suite that the mirror does not
have any more is reported and not counted. The parts, all of them unless some are named:

    releases        the whole suite, with the package built in each release's root
    wheel           its core, with the one wheel that the oldest root builds (tools/wheel.py)
    older           the same over the oldest librbd, named by RBD_LIBRARY, on a newer system
    free-threading  the whole suite, without the interpreter's lock (tools/free_threading.py)
    floors          the core, built with the oldest supported tools (tools/floors.py)
    architectures   the core on other processors, emulated if need be (tools/architectures.py)
    wheels          a wheel for each Python and processor, as they are published (tools/wheels.py)

Whole runs of each part, or of each named release, are kept in docs/_data/matrix.json. README's
table is made from them. The output of pytest goes to a file beside each environment.
"""

from __future__ import annotations

import argparse
import copy
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path

from tools import (
    architectures,
    floors,
    foreign,
    free_threading,
    results,
    roots,
    sdists,
    upgrade,
    wheel,
    wheels,
)

PARTS = ("releases", "wheel", "older", "free-threading", "floors", "architectures", "wheels")

# The tests mostly wait for their cluster.
AT_ONCE = 6

# The facts that each environment reports.
FACTS = """
import json, platform, subprocess, sys, rbd
info = rbd.library_info()
ceph = subprocess.run(["ceph", "--version"], capture_output=True, text=True).stdout.split()
print(json.dumps({
    "ceph_version": ceph[2] if len(ceph) > 2 else "",
    "python_version": platform.python_version(),
    "librbd_version": ".".join(map(str, info.version)),
    "missing": sorted(info.missing),
    "gil": getattr(sys, "_is_gil_enabled", lambda: True)(),
}))
"""

# What `./dev test` does before the tests, in an environment that is kept beside the source. The
# tests run in a worker (xdist), so that a test that ends the process is a failure like others.
SET_UP = ". tools/setup.sh; setup"
WORKER = ["-n", "1", "-p", "no:cacheprovider"]

# Tests of the repository and not of the package. They need its tools, or a cross compiler.
LEFT_OUT = ["benchmarks", "byte_order", "checks", "coverage", "docs", "habits", "manual", "matrix"]
LEFT_OUT += ["typed"]


def with_settings(settings: Mapping[str, str], command: Sequence[str]) -> list[str]:
    """Return the command with these environment variables."""
    return ["env", *(f"{name}={value}" for name, value in settings.items()), *command]


def run_tests(
    result: results.Result,
    directory: Path,
    python: Path,
    arguments: Sequence[str],
    settings: Mapping[str, str] | None = None,
) -> results.Result:
    """Run the unpacked tests with one interpreter inside the release's root, and count them."""
    settings = settings or {}
    label = f"{result.suite}-{result.librbd}"
    report, log = directory / f"{label}.xml", directory / f"{label}.log"
    report.unlink(missing_ok=True)
    facts = with_settings(settings, [str(python), "-c", FACTS])
    pytest = [str(python), "-m", "pytest", "-q", *WORKER, f"--junitxml={report}"]
    left_out = [f"--ignore=tests/test_{topic}.py" for topic in LEFT_OUT]
    line = with_settings(settings, [*pytest, *left_out, *arguments])
    try:
        for key, value in json.loads(roots.run_inside(result.suite, facts, directory)).items():
            setattr(result, key, value)
        roots.run_inside(result.suite, line, directory / "source", binds=[directory], log=log)
    except subprocess.TimeoutExpired as expired:
        result.status, result.reason = "hung", f"no end after {expired.timeout:.0f} seconds"
    except (roots.RootError, ValueError) as error:
        result.status, result.reason = "not run", str(error)
    else:
        result.status = "tested"
    # Failed tests are in the report. Without a report, pytest itself did not run.
    if report.exists() and result.status != "hung":
        result.status, result.reason = "tested", ""
        results.read_report(result, report)
    print(f"{directory.name}, Ceph {result.ceph}: {result.counts()} ({log})", flush=True)
    return result


def begin(release: roots.Release) -> results.Result:
    """Make a release's root, and the result that says whether that was possible."""
    result = results.Result(**asdict(release))
    try:
        roots.make(release.suite)
    except roots.RootError as error:
        result.status, result.reason = "unreachable", str(error)
    return result


def run_source(
    result: results.Result,
    sdist: Path,
    directory: Path,
    arguments: Sequence[str],
    interpreter: str = "",
) -> results.Result:
    """Build the package from the sdist in the release's root, and test it there."""
    if result.status == "unreachable":
        return result
    sdists.unpack(sdist, directory / "source")
    settings = {"RBD_VENV": "../venv", "RBD_PYTHON": interpreter}
    try:
        command = with_settings(settings, ["bash", "-euo", "pipefail", "-c", SET_UP])
        roots.run_inside(result.suite, command, directory / "source", binds=[directory])
    except (roots.RootError, subprocess.TimeoutExpired) as error:
        result.status, result.reason = "not installed", str(error)
        return result
    return run_tests(result, directory, directory / "venv/bin/python", arguments)


def run_free_threading(sdist: Path, arguments: Sequence[str]) -> results.Result:
    """Test the newest release with the interpreter without a lock."""
    result = begin(free_threading.release())
    try:
        interpreter = free_threading.make() if result.status != "unreachable" else Path()
    except (roots.RootError, subprocess.TimeoutExpired) as error:
        result.status, result.reason = "not installed", str(error)
        return result
    directory = sdist.parent.parent / "free-threading"
    return run_source(result, sdist, directory, arguments, str(interpreter))


def make_wheel(sdist: Path, directory: Path) -> tuple[results.Wheel, Path | None]:
    """Build and check the one wheel. Return the interpreter of its environment too."""
    try:
        roots.make(roots.BARE)
        sdists.unpack(sdist, directory / "source")
        built = wheel.build(sdist, directory)
        made = results.Wheel(built.name, built.stat().st_size)
        made.problems += wheel.problems(built, directory)
        python = wheel.environment(built, directory)
        made.problems += wheel.problems_without_ceph(built, directory)
        made.problems += upgrade.problems(built, wheel.builder().suite, directory)
    except (roots.RootError, subprocess.TimeoutExpired) as error:
        return results.Wheel("no wheel", 0, problems=[str(error)]), None
    return made, python


def run_older(directory: Path, python: Path, arguments: Sequence[str]) -> results.Result:
    """Test the wheel over the oldest librbd, in the newest root that can serve it."""
    # Ceph 20's monitors refuse the cipher that the oldest librbd's cryptography uses.
    oldest, newer = roots.releases()[0], roots.releases()[-2]
    result = results.Result(**asdict(replace(oldest, suite=newer.suite)))
    try:
        settings = wheel.take_librbd(oldest, directory / "librbd")
    except (roots.RootError, subprocess.TimeoutExpired) as error:
        result.status, result.reason = "not installed", str(error)
        return result
    return run_tests(result, directory, python, arguments, settings)


def run_floors(sdist: Path, directory: Path, arguments: Sequence[str]) -> results.Floors:
    """Build with the oldest tools in the oldest root, and test the result."""
    oldest = begin(roots.releases()[0])
    if oldest.status == "unreachable":
        return results.Floors({}, oldest)
    try:
        sdists.unpack(sdist, directory / "source")
        built = floors.build(sdist, directory)
    except (roots.RootError, subprocess.TimeoutExpired) as error:
        return results.Floors({}, problems=[f"the build failed: {error}"])
    built.result = run_tests(oldest, directory, directory / "venv/bin/python", arguments)
    return built


def run_architecture(
    one: foreign.Architecture, sdist: Path, directory: Path, arguments: Sequence[str]
) -> results.Architecture:
    """Build on another processor, and test the result with this machine's daemons."""
    release = next(known for known in roots.releases() if known.suite == one.suite)
    result = results.Result(**asdict(replace(release, suite=one.root)))
    made = results.Architecture(one.machine, one.emulated, [], result)
    try:
        roots.make(one.suite)
        foreign.make(one, one.suite)
        sdists.unpack(sdist, directory / "source")
        built = directory.with_name("wheels")
        python, made.files = architectures.build(one, sdist, directory, built)
        beside = architectures.daemons(one, sdist, directory.with_name("daemons"), built)
        with architectures.cluster(one.suite, beside, directory) as conf:
            settings = {"RBD_TEST_CONF": str(conf), "CEPH_CONF": str(conf)}
            settings.update(architectures.settings(one))
            chosen = [*(arguments or architectures.topics(one)), *architectures.OPTIONS]
            run_tests(result, directory, python, chosen, settings)
    except (roots.RootError, subprocess.TimeoutExpired) as error:
        result.status, result.reason = "not installed", str(error)
    return made


def run_machines(
    run: results.Run, sdist: Path, directory: Path, arguments: Sequence[str], parts: Sequence[str]
) -> None:
    """Test on each of the other processors, and build all wheels. The tests use some of them."""
    if "architectures" in parts:
        known = foreign.architectures()
        run.architectures = [
            run_architecture(one, sdist, directory / one.root, arguments) for one in known
        ]
    if "wheels" in parts:
        run.wheels = wheels.make_all(sdist, directory / "wheels")


def chosen(names: Sequence[str]) -> list[roots.Release]:
    """Return the releases that the command line names."""
    known = roots.releases()
    for name in names:
        if not any(name in (one.ceph, one.suite) for one in known):
            there = ", ".join(f"{one.ceph} ({one.suite})" for one in known)
            raise roots.RootError(f"no release is called {name!r}; there are {there}")
    return [one for one in known if not names or one.ceph in names or one.suite in names]


def run_parts(
    selected: Sequence[roots.Release], arguments: Sequence[str], parts: Sequence[str]
) -> results.Run:
    """Run the matrix, or some parts of it."""
    directory = roots.home().parent / "matrix"
    sdist = sdists.make(directory / "sdist")
    core = arguments or wheel.CORE
    run = results.Run([])
    with ThreadPoolExecutor(AT_ONCE) as pool:
        begun = list(pool.map(begin, selected))
        if "releases" in parts:
            whole = [
                pool.submit(run_source, one, sdist, directory / one.suite, arguments)
                for one in map(copy.deepcopy, begun)
            ]
        if "free-threading" in parts:
            free = pool.submit(run_free_threading, sdist, arguments)
        if "floors" in parts:
            built = pool.submit(run_floors, sdist, directory / "floors", core)
        machines = pool.submit(run_machines, run, sdist, directory, arguments, parts)
        if "wheel" in parts or "older" in parts:
            run.wheel, python = pool.submit(make_wheel, sdist, directory / "wheel").result()
            if python and "wheel" in parts:
                reached = [one for one in begun if one.status != "unreachable"]
                run.wheel.results = list(
                    pool.map(
                        lambda one: run_tests(one, directory / "wheel", python, core),
                        map(copy.deepcopy, reached),
                    )
                )
            if python and "older" in parts:
                run.older = run_older(directory / "wheel", python, core)
        if "releases" in parts:
            run.releases = [one.result() for one in whole]
        if "free-threading" in parts:
            run.free_threading = free.result()
        if "floors" in parts:
            run.floors = built.result()
        machines.result()
    return run


def run_matrix(names: Sequence[str], arguments: Sequence[str], parts: Sequence[str]) -> int:
    """Run the matrix and print its table. Parts that were run completely are kept."""
    run = run_parts(chosen(names), arguments, parts)
    print(run.table())
    for one in run.releases:
        for why, count in one.skips.items():
            print(f"Ceph {one.ceph}: {count} skipped: {why}")
        if one.status == "unreachable":
            print(f"Ceph {one.ceph}: unreachable: {one.reason}")
    if not arguments:
        # The other parts are kept only after a run of all releases.
        results.keep(run, [part for part in parts if part == "releases" or not names])
    for problem in run.problems():
        print(problem, file=sys.stderr)
    return 1 if run.problems() else 0


def main(arguments: Sequence[str]) -> int:
    """Run the command that the top of this file describes."""
    own = list(arguments)
    rest = own[own.index("--") + 1 :] if "--" in own else []
    own = own[: own.index("--")] if "--" in own else own
    parser = argparse.ArgumentParser(description="Run the tests on each Ceph release.")
    parser.add_argument("--table", action="store_true", help="print the last whole run's table")
    parser.add_argument("--check", action="store_true", help="hold README against the last run")
    parser.add_argument("--part", action="append", choices=PARTS, help="one part; default: all")
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
        return run_matrix(options.releases, rest, options.part or PARTS)
    except roots.RootError as error:
        print(f"matrix: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
