"""Roots of other processors: the emulator that runs their programs, and a compiler for them.

Usage:
    python -m tools.foreign [SUITE-ARCHITECTURE ...]    make roots; without a name, list them

qemu's user mode runs a program of another processor about ten times slower than the processor
would, which is too slow for a compiler. So the root gets this machine's cross compiler, which runs
at full speed inside it. A machine with that processor needs neither.
"""

from __future__ import annotations

import json
import platform
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from tools import roots

BINFMT = Path("/proc/sys/fs/binfmt_misc")

# The directory of the cross compiler inside a root, with what it needs of this machine's kind.
CROSS = Path("/opt/cross")


class Loader(NamedTuple):
    """The program loader of a machine that can emulate others."""

    machine: str
    name: str
    libraries: Path


LOADER = Loader("x86_64", "ld-linux-x86-64.so.2", Path("usr/lib/x86_64-linux-gnu"))


@dataclass(frozen=True)
class Architecture:
    """A processor other than this machine's: its names, and what is tested on it."""

    debian: str
    machine: str
    triplet: str
    # The suite whose root the tests run in.
    suite: str
    # The topics of tests that run there. `core` stands for those of the wheel.
    tests: list[str]
    # Tests that cannot run there with another root's daemons, each with the reason.
    left_out: dict[str, str]

    @property
    def root(self) -> str:
        """Return the name of the root that the tests run in."""
        return self.root_of(self.suite)

    def root_of(self, suite: str) -> str:
        """Return the name of the root that has a suite of this architecture."""
        return f"{suite}-{self.debian}"

    @property
    def emulated(self) -> bool:
        """Say whether this machine needs an emulator for the programs."""
        return platform.machine() != self.machine

    def compilers(self) -> dict[str, str]:
        """Return the settings that choose the cross compiler; none if it is not needed."""
        if not self.emulated:
            return {}
        names = {"CC": "gcc", "CXX": "g++", "AR": "ar", "STRIP": "strip"}
        binaries = CROSS / "usr" / "bin"
        found = {key: f"{binaries}/{self.triplet}-{name}" for key, name in names.items()}
        # Tests call `nm`, and auditwheel calls `strip`, by these names.
        return {**found, "PATH": f"{CROSS}/usr/{self.triplet}/bin:{roots.environment()['PATH']}"}


def architectures() -> list[Architecture]:
    """Return the processors other than this machine's."""
    data = json.loads(roots.RELEASES_FILE.read_text())
    return [Architecture(**entry) for entry in data["architectures"]]


def packages(architecture: Architecture, suite: str) -> list[str]:
    """Return the Debian packages of a root. Ceph is only there if tests run there."""
    data = json.loads(roots.RELEASES_FILE.read_text())["foreign_packages"]
    wanted = [*data["build"], *(data["test"] if suite == architecture.suite else [])]
    return wanted if architecture.emulated else [*wanted, "g++"]


def emulate(machine: str) -> None:
    """Make the kernel run another processor's programs by qemu, until it restarts."""
    entry = BINFMT / f"qemu-{machine}"
    if not (BINFMT / "register").exists():
        roots.run(["mount", "-t", "binfmt_misc", "binfmt_misc", BINFMT])
    if entry.exists():
        return
    rule = Path(f"/usr/lib/binfmt.d/qemu-{machine}.conf")
    if not rule.exists():
        raise roots.RootError(f"no emulator of {machine}: apt-get install qemu-user-static")
    # Its flags make the kernel open the emulator now, so that it need not be in the root.
    (BINFMT / "register").write_text(rule.read_text().strip())


# apt chooses packages as for an empty machine of this kind: the compiler with everything that it
# needs. They are unpacked and not installed, because apt does not allow a cross compiler in a root
# of the processor that it compiles for.
DOWNLOAD = """
set -eu
mkdir -p "$1/partial"
apt-get update -q
apt-get install -y -q --download-only -o Dir::State::status=/dev/null \\
    -o "Dir::Cache::archives=$1" -o APT::Sandbox::User=root "g++-$2"
"""
UNPACK = """
set -eu
mkdir -p "$1/usr/lib" "$1/usr/lib64"
[ -e "$1/lib" ] || ln -s usr/lib "$1/lib"
[ -e "$1/lib64" ] || ln -s usr/lib64 "$1/lib64"
for file in "$1"/packages/*.deb; do
    dpkg-deb --fsys-tarfile "$file" | tar -x -C "$1" --keep-directory-symlink
done
"""


def make(architecture: Architecture, suite: str) -> Path:
    """Make a root of another architecture. Existing parts stay."""
    if architecture.emulated:
        emulate(architecture.machine)
    name = architecture.root_of(suite)
    root = roots.build(name, suite, packages(architecture, suite), architecture.debian)
    if architecture.emulated:
        add_compiler(architecture, suite)
    return root


def add_compiler(architecture: Architecture, suite: str) -> None:
    """Put a cross compiler into a root of another architecture, below CROSS."""
    root = roots.root_of(architecture.root_of(suite))
    if (root / ".compiler").exists():
        return
    if platform.machine() != LOADER.machine:
        raise roots.RootError(f"a {platform.machine()} machine cannot emulate {architecture.root}")
    place = Path(f"{root.resolve()}{CROSS}")
    downloads = place / "packages"
    downloads.mkdir(parents=True, exist_ok=True)
    roots.make(suite)
    command = ["sh", "-c", DOWNLOAD, "download", str(downloads), architecture.triplet]
    roots.run_inside(suite, command, downloads)
    roots.run(["sh", "-c", UNPACK, "unpack", place])
    roots.run(["rm", "-rf", downloads])
    # The compiler's programs name their loader, and the loader knows one directory of libraries.
    for library in (place / LOADER.libraries).iterdir():
        link(root / LOADER.libraries / library.name, CROSS / LOADER.libraries / library.name)
    link(root / "lib64" / LOADER.name, CROSS / LOADER.libraries / LOADER.name)
    # The linker's script for the C library has absolute paths.
    libraries = Path("usr") / architecture.triplet
    link(root / libraries, CROSS / libraries)
    (root / ".compiler").touch()


def link(path: Path, target: Path) -> None:
    """Make a symbolic link, unless something exists there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.is_symlink() and not path.exists():
        path.symlink_to(target)


def main(arguments: Sequence[str]) -> int:
    """Make the named roots, or list those that can be made."""
    suites = [release.suite for release in roots.releases()]
    known = {one.root_of(suite): (one, suite) for one in architectures() for suite in suites}
    try:
        for name in arguments:
            if name not in known:
                raise roots.RootError(f"no root is called {name!r}; there are {', '.join(known)}")
            print(f"{name}: {make(*known[name])}", flush=True)
    except (roots.RootError, subprocess.TimeoutExpired) as error:
        print(f"foreign: {error}", file=sys.stderr)
        return 1
    if not arguments:
        print(*known, sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
