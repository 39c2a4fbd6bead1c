"""CPython without the global interpreter lock, built from Debian's source in the newest root.

Debian does not have a package of it. It is neither optimized nor stripped, because it is for tests.
"""

from __future__ import annotations

from pathlib import Path

from tools import roots

# Its directory inside the root, which keeps it. The build directory is removed.
PREFIX = Path("/opt/python-free-threaded")
LIBRARIES = "zlib1g-dev libssl-dev libffi-dev libbz2-dev liblzma-dev libsqlite3-dev"

# Without Debian's patches, which do not know the directories of a free-threaded build. A mirror may
# list a source package that it does not have yet; then the previous one is used.
BUILD = f"""
set -eu
[ ! -e {PREFIX}/.ready ] || exit 0
sed -n 's/^deb /deb-src /p' /etc/apt/sources.list >/etc/apt/sources.list.d/sources.list
apt-get update -q
apt-get install -y -q dpkg-dev {LIBRARIES}
rm -rf {PREFIX} /usr/src/python
mkdir /usr/src/python
cd /usr/src/python
apt-get source -q --download-only "python$1" || {{
    version=$(dpkg-query -W -f '${{Version}}' "python$1" | sed 's/-.*//')
    before=${{version%.*}}.$((${{version##*.}} - 1))
    pool=$(awk '{{ print $2; exit }}' /etc/apt/sources.list)/pool/main/p/python$1
    for file in "$before.orig.tar.xz" "$before-1.debian.tar.xz" "$before-1.dsc"; do
        /usr/lib/apt/apt-helper download-file "$pool/python$1_$file" "python$1_$file"
    done
}}
dpkg-source --skip-patches -x "python$1"_*.dsc source
cd source
./configure -q --prefix={PREFIX} --disable-gil --without-ensurepip
make -s "-j${{CMAKE_BUILD_PARALLEL_LEVEL:-1}}"
make -s install
cd /
rm -rf /usr/src/python
touch {PREFIX}/.ready
"""


def release() -> roots.Release:
    """Return the release whose root holds the interpreter."""
    return roots.releases()[-1]


def make() -> Path:
    """Build the interpreter unless it exists. Return its path inside the root."""
    newest = release()
    roots.run_inside(newest.suite, ["sh", "-c", BUILD, "build", newest.python], Path("/tmp"))
    return PREFIX / "bin/python3"
