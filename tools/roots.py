#!/usr/bin/env python3
"""Make, keep and enter the Debian roots that the release matrix runs in.

Usage:
    roots.py list
    roots.py make [NAME ...]            all of them without a name
    roots.py enter [--bind DIR] NAME [-- COMMAND ...]
    roots.py copy NAME NEW              a throw-away copy; `roots.py remove NEW` ends it
    roots.py remove NAME

A root is named after its Debian suite. `bare` is the first suite's minimal system with only git and
ca-certificates, like a newcomer's machine. tools/foreign.py makes the roots of other processors.
Roots are below $RBD_DEV_HOME/roots (default: .dev/roots in the checkout). This program needs root
rights, debootstrap and util-linux's unshare.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

# As a script, it does not find its neighbours by itself.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from tools import mirrors

REPOSITORY = Path(__file__).resolve().parent.parent
RELEASES_FILE = Path(__file__).resolve().with_name("releases.json")

# The stand-in for a newcomer's machine, and the Debian suite it is made of.
BARE = "bare"
BARE_SUITE = "bookworm"
BARE_PACKAGES = ("git", "ca-certificates")

# The lists of an old suite have expired, and a mirror may fail for a moment.
APT_SETTINGS = """\
Acquire::Check-Valid-Until "false";
Acquire::Retries "3";
APT::Install-Recommends "false";
"""

# A root gets this machine's certificates from configure().
BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")

# Longer than any command takes, so that a hang becomes a failure with a name.
LONGEST_SECONDS = 7200

# The caller's variables that a command inside a root sees.
PASSED_ON = re.compile(
    r"(?i)(pip_\w+|\w+_proxy|ssl_cert_\w+|requests_ca_bundle|cmake_build_parallel_level|rbd_test_\w+|pytest_\w+)\Z"
)


class RootError(Exception):
    """A root could not be made or entered. The text says why."""


@dataclass(frozen=True)
class Release:
    """One Ceph release under test and the Debian suite that carries it."""

    ceph: str
    name: str
    librbd: str
    suite: str
    python: str


def releases() -> list[Release]:
    """Return the releases under test, oldest first."""
    data = json.loads(RELEASES_FILE.read_text())
    return [Release(**entry) for entry in data["releases"]]


def packages() -> list[str]:
    """Return the Debian packages of each release's root."""
    return list(json.loads(RELEASES_FILE.read_text())["packages"])


def home() -> Path:
    """Return the directory that keeps the roots."""
    base = os.environ.get("RBD_DEV_HOME")
    return (Path(base).resolve() if base else REPOSITORY / ".dev") / "roots"


def root_of(name: str) -> Path:
    """Return the directory of a root, whether or not it exists."""
    if not re.fullmatch(r"[a-z0-9][a-z0-9.-]*", name):
        raise RootError(f"not a root's name: {name!r}")
    return home() / name


def known() -> list[str]:
    """Return the names of the roots that `make` can make."""
    return [BARE, *(release.suite for release in releases())]


# ---------------------------------------------------------------------------------------------
# Making a root.


def run(command: Sequence[str | Path], *, env: dict[str, str] | None = None) -> None:
    """Run a command, or say which one failed."""
    done = subprocess.run(list(command), check=False, env=env, stdin=subprocess.DEVNULL)
    if done.returncode:
        last = str(command[-1]).rsplit("\n", 1)[-1]
        raise RootError(f"status {done.returncode} from: {command[0]} ... {last}")


def debootstrap(suite: str, root: Path, architecture: str = "") -> None:
    """Unpack a minimal Debian system, of this machine's architecture or of a named one."""
    if not shutil.which("debootstrap"):
        raise RootError(
            "debootstrap is missing: apt-get install debootstrap debian-archive-keyring"
        )
    # An emulator takes long to configure each package.
    wanted = BARE_PACKAGES[1:] if architecture else BARE_PACKAGES
    command = ["debootstrap", "--variant=minbase", f"--include={','.join(wanted)}"]
    command += [f"--arch={architecture}"] if architecture else []
    command += [suite, str(root)]
    mirror, _ = mirrors.debian()
    scripts = Path("/usr/share/debootstrap/scripts")
    if mirror:
        command.append(mirror)
        if not (scripts / suite).exists():
            # A debootstrap older than the suite does not have its script; all equal sid's now.
            command.append(str(scripts / "sid"))
    run(command)


def reachable(root: Path, uri: str, suite: str) -> bool:
    """Return whether a mirror has a suite, by apt inside the root."""
    helper = ["/usr/lib/apt/apt-helper", "-o", "Acquire::Retries=2", "download-file"]
    asked = [*helper, f"{uri}/dists/{suite}/InRelease", "/tmp/InRelease"]
    done = subprocess.run(inside(root, asked), check=False, capture_output=True, env=environment())
    (root / "tmp/InRelease").unlink(missing_ok=True)
    return done.returncode == 0


def configure(suite: str, root: Path) -> None:
    """Make apt, TLS and pip work inside a root as on this machine."""
    policy = root / "usr/sbin/policy-rc.d"
    policy.write_text("#!/bin/sh\nexit 101\n")
    policy.chmod(0o755)
    (root / "etc/apt/apt.conf.d/99matrix").write_text(APT_SETTINGS)
    for name in ("etc/resolv.conf", "etc/hosts"):
        if Path("/", name).exists():
            (root / name).unlink(missing_ok=True)
            shutil.copyfile(Path("/", name), root / name)
    certificates = root / "usr/local/share/ca-certificates"
    certificates.mkdir(parents=True, exist_ok=True)
    for own in Path("/usr/local/share/ca-certificates").glob("**/*.crt"):
        shutil.copy(own, certificates)
    run(inside(root, ["update-ca-certificates"]), env=environment())
    if BUNDLE.exists():
        shutil.copy(BUNDLE, f"{root}{BUNDLE}")
    settings = mirrors.pip_settings()
    if settings:
        lines = [f"{key} = {value}\n" for key, value in settings.items()]
        (root / "etc/pip.conf").write_text("[global]\n" + "".join(lines))
    main, security = mirrors.debian()
    if main:
        wanted = [(main, suite), (main, f"{suite}-updates")]
        if security:
            wanted.append((security, f"{suite}-security"))
        lines = [f"deb {uri} {name} main\n" for uri, name in wanted if reachable(root, uri, name)]
        (root / "etc/apt/sources.list").write_text("".join(lines))
    run(inside(root, ["apt-get", "update"]), env=environment())


def make(name: str) -> Path:
    """Make a root, or finish one that was begun. A ready one does not change."""
    if name not in known():
        raise RootError(f"no root is called {name!r}; there are {', '.join(known())}")
    if name == BARE:
        return build(name, BARE_SUITE, [])
    return build(name, name, packages())


def build(name: str, suite: str, wanted: Sequence[str], architecture: str = "") -> Path:
    """Make or finish a root of a suite, with packages, for this machine's processor or another."""
    root = root_of(name)
    if (root / ".ready").exists():
        return root
    if os.geteuid():
        raise RootError("making a root needs root rights")
    if not (root / ".unpacked").exists():
        if root.exists():
            discard(root)
        root.parent.mkdir(parents=True, exist_ok=True)
        print(f"{name}: unpacking Debian {suite} below {root}", flush=True)
        debootstrap(suite, root, architecture)
        (root / ".unpacked").touch()
    configure(suite, root)
    if wanted:
        print(f"{name}: installing {' '.join(wanted)}", flush=True)
        command = ["apt-get", "install", "-y", "-q", *wanted]
        try:
            run(inside(root, command), env=environment())
        except RootError:
            # Mirrors drop an old suite's security archive in parts: its index outlives its files.
            print(f"{name}: trying again without security updates", flush=True)
            sources = root / "etc/apt/sources.list"
            kept = [li for li in sources.read_text().splitlines(True) if "-security" not in li]
            sources.write_text("".join(kept))
            run(inside(root, ["apt-get", "update"]), env=environment())
            run(inside(root, command), env=environment())
    run(inside(root, ["apt-get", "clean"]), env=environment())
    (root / ".ready").touch()
    return root


def copy(name: str, new: str) -> Path:
    """Copy a ready root under a new name."""
    source, target = make(name), root_of(new)
    if new in known() or target.exists():
        raise RootError(f"{new} exists already, or is the name of a kept root")
    # -x: a mounted /proc has no end.
    run(["cp", "-ax", "--reflink=auto", source, target])
    return target


def discard(root: Path) -> None:
    """Remove a root's directory, but never anything that is mounted below it."""
    mounted = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    below = [path for path in mounted if path.startswith(f"{root}/")]
    if below:
        raise RootError(f"not removing {root}: unmount {', '.join(below)} first")
    run(["rm", "-rf", "--one-file-system", root])


# ---------------------------------------------------------------------------------------------
# Entering a root.


def environment() -> dict[str, str]:
    """Return the environment of a command inside a root."""
    env = {key: value for key, value in os.environ.items() if PASSED_ON.match(key)}
    env.update(
        PATH="/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        HOME="/root",
        LANG="C.UTF-8",
        DEBIAN_FRONTEND="noninteractive",
    )
    return env


def inside(
    root: Path, command: Sequence[str], *, binds: Iterable[Path] = (), directory: str = "/"
) -> list[str]:
    """Return the command line that runs a command inside a root.

    Mounts and processes live in separate namespaces that end with the command. So no daemon
    outlives it, and removing a root never reaches other files, because nothing stays mounted below
    it.
    """
    env = {key: value for key, value in os.environ.items() if key.upper().startswith("PIP_")}
    settings = {**mirrors.pip_settings(), **env}
    target = shlex.quote(str(root))
    script = [
        "set -e",
        f"mount -t proc proc {target}/proc",
        f"mount -t sysfs -o ro sysfs {target}/sys",
        f"mount --rbind /dev {target}/dev",
    ]
    # The certificates could not be replaced while something is mounted over them.
    paths = [path for path in mirrors.pip_paths(settings.values()) if path != BUNDLE]
    for path, mode in [(p, "ro") for p in paths] + [(p.resolve(), "rw") for p in binds]:
        place = shlex.quote(f"{root}{path}")
        parent, create = (path.parent, "touch") if path.is_file() else (path, "mkdir -p")
        script += [f"mkdir -p {shlex.quote(f'{root}{parent}')}", f"{create} {place}"]
        script.append(f"mount --bind {shlex.quote(str(path))} {place}")
        if mode == "ro":
            script.append(f"mount -o remount,bind,ro {place}")
    # The shell stays as the namespace's first process, to reap the children of daemons.
    line = f"cd {shlex.quote(directory)} && exec {shlex.join(command)}"
    script += [f"chroot {target} /bin/sh -c {shlex.quote(line)} || exit $?"]
    namespaces = ["--mount", "--propagation", "private", "--pid", "--fork", "--kill-child"]
    return ["unshare", *namespaces, "sh", "-c", "\n".join(script)]


def run_inside(
    name: str,
    command: Sequence[str],
    directory: Path,
    *,
    binds: Iterable[Path] = (),
    seconds: float = LONGEST_SECONDS,
    log: Path | None = None,
) -> str:
    """Run a command inside a ready root. Return its output; a failure is a RootError.

    The directory, and those in `binds`, belong to this machine and have the same path inside. With
    a log, the output goes there as it comes.
    """
    line = inside(root_of(name), command, binds=[directory, *binds], directory=str(directory))
    with open(log, "w") if log else contextlib.nullcontext(subprocess.PIPE) as output:
        done = subprocess.run(
            line,
            check=False,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT if log else output,
            text=True,
            timeout=seconds,
        )
    if done.returncode:
        said = f"see {log}" if log else f"{done.stdout}{done.stderr}"
        called = f"{shlex.join(command)[:200]}\n{said}"
        raise RootError(f"status {done.returncode} in {name} from {called}")
    return done.stdout or ""


def enter(name: str, command: Sequence[str], binds: Iterable[Path]) -> NoReturn:
    """Replace this process with a command inside a root."""
    root = root_of(name)
    if not (root / ".ready").exists():
        raise RootError(f"{name} is not ready; make it first")
    line = inside(root, list(command) or ["/bin/bash"], binds=binds)
    os.execvpe(line[0], line, environment())


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one of the commands named at the top of this file."""
    parser = argparse.ArgumentParser(description="Make, keep and enter the matrix's Debian roots.")
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("list")
    verbs.add_parser("make").add_argument("names", nargs="*")
    entering = verbs.add_parser("enter")
    entering.add_argument("--bind", action="append", type=Path, default=[])
    entering.add_argument("name")
    entering.add_argument("command", nargs=argparse.REMAINDER)
    copying = verbs.add_parser("copy")
    copying.add_argument("name")
    copying.add_argument("new")
    verbs.add_parser("remove").add_argument("name")
    options = parser.parse_args(arguments)
    try:
        if options.verb == "list":
            for name in known():
                ready = (root_of(name) / ".ready").exists()
                print(f"{name:10} {'ready' if ready else '-':6} {root_of(name)}")
        elif options.verb == "make":
            for name in options.names or known():
                print(f"{name}: {make(name)}", flush=True)
        elif options.verb == "enter":
            command = options.command[1:] if options.command[:1] == ["--"] else options.command
            enter(options.name, command, options.bind)
        elif options.verb == "copy":
            print(copy(options.name, options.new))
        else:
            discard(root_of(options.name))
    except RootError as error:
        print(f"roots: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
