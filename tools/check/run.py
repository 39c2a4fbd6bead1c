#!/usr/bin/env python3
"""Run all static checks, or those named, and print what each has found.

tools/check/run.py [--root DIR] [--without CHECK] [CHECK ...]
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import shutil
import subprocess
import sys
import sysconfig
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Callable, Dict, List

from tree import files

HERE = Path(__file__).resolve().parent
CPP = ("*.cpp", "*.hpp")
SELFTESTS = ("tests/test_checks.py", "tests/test_typed.py")


def program(name: str) -> str:
    """Return a tool of this interpreter's environment, or of the system."""
    own = Path(sysconfig.get_path("scripts")) / name
    found = str(own) if own.exists() else shutil.which(name)
    if found is None:
        raise SystemExit(f"check: no {name}; ./dev check installs it")
    return found


def output(root: Path, name: str, *arguments: str) -> List[str]:
    """Run a tool. Return its output if it fails."""
    command = [program(name), *arguments]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    return [] if done.returncode == 0 else [(done.stdout + done.stderr).rstrip() or name]


def names(root: Path, *patterns: str) -> List[str]:
    return [path.relative_to(root).as_posix() for path in files(root, *patterns)]


def clang_format(root: Path) -> List[str]:
    """Check that C++ is formatted as .clang-format says."""
    chosen = names(root, *CPP)
    return output(root, "clang-format", "--dry-run", "-Werror", *chosen) if chosen else []


def ruff(root: Path) -> List[str]:
    """Check Python by ruff's rules in pyproject.toml, and its format."""
    chosen = names(root, "*.py", "*.pyi")
    if not chosen:
        return []
    return output(root, "ruff", "check", "--no-cache", *chosen) + output(
        root, "ruff", "format", "--no-cache", "--check", *chosen
    )


def codespell(root: Path) -> List[str]:
    """Check the spelling."""
    return output(root, "codespell", *(name for name in names(root) if name != "LICENSE"))


def mypy(root: Path) -> List[str]:
    """Check the types of the package with mypy, strictly."""
    return output(root, "mypy", "python/rbd")


def pyright(root: Path) -> List[str]:
    """Check the types of the package with pyright."""
    return output(root, "pyright", "--pythonpath", sys.executable, "python/rbd")


def stubtest(root: Path) -> List[str]:
    """Check that the types agree with the built and installed package."""
    arguments = ("--mypy-config-file", "pyproject.toml", "--ignore-unused-allowlist", "rbd")
    return output(root, "stubtest", "--allowlist", "tools/check/stubtest.txt", *arguments)


def selftest(root: Path) -> List[str]:
    """Check that each check finds its faults, and that programs that use the types are judged
    rightly."""
    # The tools may not be installed yet where ./dev test runs these tests.
    return output(root, "pytest", "-q", "-p", "no:cacheprovider", *SELFTESTS)


def clang_tidy(root: Path) -> List[str]:
    """Check C++ by the list in .clang-tidy. It is the slowest check, so it comes last."""
    build = root / "build" / "tidy"
    cmake_directory = [sys.executable, "-m", "pybind11", "--cmakedir"]
    pybind11 = subprocess.run(cmake_directory, check=True, capture_output=True, text=True).stdout
    configured = output(
        root,
        "cmake",
        *("-S", str(root), "-B", str(build), "-DCMAKE_EXPORT_COMPILE_COMMANDS=ON"),
        "-DCMAKE_UNITY_BUILD=OFF",
        *(f"-DPython_EXECUTABLE={sys.executable}", f"-Dpybind11_DIR={pybind11.strip()}"),
    )
    if configured:
        return configured
    commands = json.loads((build / "compile_commands.json").read_text())
    sources = sorted({command["file"] for command in commands})

    def tidy(source: str) -> List[str]:
        return output(root, "clang-tidy", "-quiet", "-p", str(build), source)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return [finding for found in pool.map(tidy, sources) for finding in found]


def module(name: str) -> Callable[[Path], List[str]]:
    return importlib.import_module(name).findings  # type: ignore[no-any-return]


def checks() -> Dict[str, Callable[[Path], List[str]]]:
    sys.path.insert(0, str(HERE))
    own = {name: module(name) for name in ("layers", "topics", "constants", "headers")}
    tools = (clang_format, ruff, codespell, mypy, pyright, stubtest, selftest, clang_tidy)
    return {**own, **{tool.__name__.replace("_", "-"): tool for tool in tools}}


def main() -> int:
    known = checks()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--root", type=Path, default=HERE.parents[1])
    parser.add_argument("checks", nargs="*", metavar="CHECK", help=", ".join(known))
    parser.add_argument("--without", action="append", default=[], metavar="CHECK")
    arguments = parser.parse_args()
    unknown = {*arguments.checks, *arguments.without} - set(known)
    if unknown:
        parser.error(f"no check {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    failed = False
    for name in arguments.checks or (name for name in known if name not in arguments.without):
        found = known[name](arguments.root)
        print(f"{'FAIL' if found else 'ok  '} {name}", flush=True)
        for finding in found:
            print("    " + finding.replace("\n", "\n    "), flush=True)
        failed |= bool(found)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
