# shellcheck shell=bash
# Sourced by the commands: makes a machine ready to build, run and test the package.
#
#   need COMMAND=PACKAGE ...    install the Debian packages whose commands are missing
#   prepare COMMAND=PACKAGE ... the same, and make the virtual environment of $python
#   setup                       all that the tests need: packages, environment, the package in it
#   requirements NAME FILE      install a file of pip requirements into the environment
#
# Settings: RBD_VENV (.venv), RBD_PYTHON (the interpreter to make it from), RBD_WERROR=ON (warnings
# are errors), CMAKE_BUILD_PARALLEL_LEVEL, CMAKE_CXX_COMPILER_LAUNCHER (ccache, if it is installed).

say() { printf 'dev: %s\n' "$*" >&2; }
die() {
    say "$@"
    exit 1
}

# The needs of the C++ core and a one-machine Ceph. A name with a slash is a file (or a pattern for
# one), a name that ends in .so.N a shared library, anything else a command.
SYSTEM=(
    'c++=g++'
    'make=make'
    'ceph-mon=ceph-mon'
    'ceph-osd=ceph-osd'
    'rbd=ceph-common'
    'librbd.so.1=librbd1'
    '/sbin/mkfs.ext4=e2fsprogs'
    # Ceph's own modules, which the tests compare this one with.
    '/usr/lib*/python3*/*-packages/rados[.-]*=python3-rados'
    '/usr/lib*/python3*/*-packages/rbd[.-]*=python3-rbd'
)
OLDEST_PYTHON=3.9

have() {
    case $1 in
    */*) compgen -G "$1" >/dev/null ;;
    *.so.*) { ldconfig -p 2>/dev/null || /sbin/ldconfig -p; } | grep -F "$1 " >/dev/null ;;
    *) command -v "$1" >/dev/null ;;
    esac
}

as_root() {
    if [[ $EUID -eq 0 ]]; then
        "$@"
    else
        sudo env DEBIAN_FRONTEND=noninteractive "$@"
    fi
}

# Runs a command. Shows its output only if it fails.
quietly() {
    local log status=0
    log=$(mktemp)
    "$@" >"$log" 2>&1 </dev/null || status=$?
    [[ $status -eq 0 ]] || cat "$log" >&2
    rm -f "$log"
    return "$status"
}

apt_install() {
    command -v apt-get >/dev/null || die "please install what Debian calls $*"
    [[ $EUID -eq 0 ]] || command -v sudo >/dev/null || die "please run as root: apt-get install $*"
    say "installing the Debian packages $*"
    export DEBIAN_FRONTEND=noninteractive
    quietly as_root apt-get update || say "continuing with the present package lists"
    quietly as_root apt-get install -y --no-install-recommends "$@" || die "apt could not install them"
}

# Prints the packages of those COMMAND=PACKAGE pairs whose command is missing.
lacking() {
    local pair
    for pair in "$@"; do
        have "${pair%%=*}" || echo "${pair#*=}"
    done
}

need() {
    local missing
    mapfile -t missing < <(lacking "$@")
    [[ ${#missing[@]} -eq 0 ]] || apt_install "${missing[@]}"
}

# Whether an interpreter is new enough, can make a virtual environment and can build an extension.
python_serves() {
    "$1" - "$OLDEST_PYTHON" >/dev/null 2>&1 <<'PYTHON'
import os, sys, sysconfig
import ensurepip, venv
oldest = tuple(map(int, sys.argv[1].split(".")))
header = os.path.join(sysconfig.get_path("include"), "Python.h")
sys.exit(sys.version_info < oldest or not os.path.exists(header))
PYTHON
}

find_python() {
    local candidate candidates=(python3 /usr/bin/python3 python3.{14,13,12,11,10,9})
    [[ -z ${RBD_PYTHON:-} ]] || candidates=("$RBD_PYTHON")
    for candidate in "${candidates[@]}"; do
        if python_serves "$candidate"; then
            command -v "$candidate"
            return
        fi
    done
    return 1
}

venv_serves() { [[ -x $python ]] && python_serves "$python"; }

# Prints the packages for a virtual environment, if no interpreter here can make one.
lacking_python() {
    venv_serves || find_python >/dev/null || printf '%s\n' python3 python3-venv python3-dev
}

make_venv() {
    local base
    ! venv_serves || return 0
    base=$(find_python) || die "no Python >= $OLDEST_PYTHON with venv and headers: ${RBD_PYTHON:-python3}"
    say "making the virtual environment $venv from $base ($("$base" -V))"
    rm -rf "$venv"
    "$base" -m venv "$venv"
    quietly "$python" -m pip install --upgrade pip || {
        rm -rf "$venv"
        die "pip could not be brought up to date"
    }
}

# Prints a checksum of everything that the built package depends on. The Python files are not part
# of it, because the environment reads them from the checkout (link_sources).
fingerprint() {
    local path present=()
    for path in CMakeLists.txt CMakePresets.json LICENSE cmake cpp pyproject.toml; do
        [[ ! -e $path ]] || present+=("$path")
    done
    {
        "$python" -VV
        echo "${RBD_WERROR:-OFF}"
        find "${present[@]}" -type f ! -path '*/__pycache__/*' -print0 | sort -z | xargs -0 sha256sum
    } | sha256sum
}

build_requirements() {
    "$python" - <<'PYTHON'
try:
    import tomllib
except ImportError:
    from pip._vendor import tomli as tomllib
with open("pyproject.toml", "rb") as file:
    requires = tomllib.load(file)["build-system"]["requires"]
# setuptools: one of the test requirements builds itself with it.
print(*requires, "cmake", "ninja", "setuptools>=70.1", sep="\n")
PYTHON
}

install_package() {
    local stamp=$venv/.installed state options=() requirements
    state=$(fingerprint)
    if [[ -f $stamp && $(<"$stamp") == "$state" ]]; then
        link_sources
        return
    fi
    rm -f "$stamp"
    say "building the package and installing it with its test requirements into $venv"
    requirements=$(build_requirements)
    mapfile -t requirements <<<"$requirements"
    quietly "$python" -m pip install "${requirements[@]}"
    if command -v ccache >/dev/null; then
        export CMAKE_CXX_COMPILER_LAUNCHER=${CMAKE_CXX_COMPILER_LAUNCHER-ccache}
    fi
    # Without isolation and in a kept directory: a second build compiles only what has changed.
    options=(--no-build-isolation --config-settings "build-dir=build/dev-$("$python" -c \
        'import sys; print(sys.implementation.cache_tag)')")
    options+=(--config-settings "cmake.define.RBDXX_WERROR=${RBD_WERROR:-OFF}")
    PATH=$venv/bin:$PATH quietly "$python" -m pip install "${options[@]}" ".[test,proofs]"
    link_sources
    printf '%s\n' "$state" >"$stamp"
}

# Replaces the installed copies of the files of python/rbd by links, so that an edited file counts at
# once. Type checkers follow links, but not the import hook of an editable install.
link_sources() {
    "$python" - <<'PYTHON'
import sysconfig
from pathlib import Path

source, target = Path("python", "rbd").resolve(), Path(sysconfig.get_path("platlib"), "rbd")
for path in target.rglob("*"):
    if path.is_symlink() and not path.exists():
        path.unlink()
for path in source.rglob("*"):
    link = target / path.relative_to(source)
    if not path.is_file() or path.suffix == ".pyc" or (link.is_symlink() and link.samefile(path)):
        continue
    link.parent.mkdir(parents=True, exist_ok=True)
    link.unlink(missing_ok=True)
    link.symlink_to(path)
PYTHON
}

# Installs the packages of those pairs together with Python's, and makes the virtual environment.
prepare() {
    local missing
    mapfile -t missing < <(
        lacking "$@"
        lacking_python
    )
    [[ ${#missing[@]} -eq 0 ]] || apt_install "${missing[@]}"
    make_venv
}

setup() {
    prepare "${SYSTEM[@]}"
    install_package
}

# Installs once for each state of the file; NAME names the stamp.
requirements() {
    local stamp=$venv/.$1
    ! cmp -s "$stamp" "$2" || return 0
    say "installing what $2 lists into $venv"
    quietly "$python" -m pip install -r "$2" || die "pip could not install it"
    cp "$2" "$stamp"
}

venv=$(realpath -m "${RBD_VENV:-.venv}")
python=$venv/bin/python
