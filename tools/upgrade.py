"""Test an upgrade of the wheel: an older version is installed, and then the wheel.

The older version is the wheel itself with a lower number and one more module, which must be gone
after the upgrade. The test runs in an empty environment, and in one that sees Debian's own `rbd`
module, which must be back after the package is uninstalled.
"""

from __future__ import annotations

import base64
import hashlib
import re
import zipfile
from pathlib import Path

from tools import roots

OLDER = "0.0.1"
GONE = "rbd/gone_since.py"

TRY = """
set -eu
rm -rf "$5"
python3 -m venv --without-pip $4 "$5"
python=$5/bin/python
own=$3
pip() { "$own" -m pip --python "$python" --quiet "$@"; }
said() { "$python" -c "import importlib.metadata as metadata, importlib.util as util; $1"; }
installed='print(metadata.version("rbd"))'
pip install --no-index --no-deps "$1"
[ "$(said "$installed")" = 0.0.1 ]
said 'import rbd.gone_since, rbd; rbd.Image.read'
pip install --no-index --no-deps --upgrade "$2"
echo "upgraded to $(said "$installed")"
said 'import rbd; rbd.Image.read; assert not util.find_spec("rbd.gone_since")'
[ "$(find "$5" -name 'rbd-*.dist-info' | wc -l)" = 1 ]
pip uninstall --yes rbd
if find "$5" -path '*site-packages/rbd*' | grep . >&2; then exit 1; fi
said 'spec = util.find_spec("rbd"); print("left", spec and spec.origin)'
"""


def older(wheel: Path, directory: Path) -> Path:
    """Write the wheel under a lower version, with a module that the wheel itself does not have."""
    version = wheel.name.split("-")[1]
    target = directory / wheel.name.replace(f"-{version}-", f"-{OLDER}-")
    directory.mkdir(parents=True, exist_ok=True)
    info, renamed = f"rbd-{version}.dist-info/", f"rbd-{OLDER}.dist-info/"
    lines = []
    with zipfile.ZipFile(wheel) as old, zipfile.ZipFile(target, "w") as new:
        members = {name: old.read(name) for name in old.namelist() if not name.endswith("/RECORD")}
        for name, content in [*members.items(), (GONE, b"")]:
            if name == f"{info}METADATA":
                content = re.sub(
                    rb"(?m)^Version: .*$", f"Version: {OLDER}".encode(), content, count=1
                )
            name = name.replace(info, renamed)
            new.writestr(name, content)
            digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=")
            lines.append(f"{name},sha256={digest.decode()},{len(content)}\n")
        new.writestr(f"{renamed}RECORD", "".join([*lines, f"{renamed}RECORD,,\n"]))
    return target


def problems(wheel: Path, root: str, directory: Path) -> list[str]:
    """Return what goes wrong with an upgrade in a root that has Debian's python3-rbd."""
    found = []
    version = wheel.name.split("-")[1]
    before = older(wheel, directory / "older")
    pip = str(directory / "tools/bin/python")
    for options, left in (("", None), ("--system-site-packages", "/usr/lib/python3")):
        arguments = [str(before), str(wheel), pip, options, str(directory / "upgraded")]
        try:
            said = roots.run_inside(root, ["sh", "-c", TRY, "try", *arguments], directory)
        except roots.RootError as error:
            found.append(f"an upgrade fails {options or 'in an empty environment'}: {error}")
            continue
        if f"upgraded to {version}\n" not in said:
            found.append(f"an upgrade does not end at {version}: {said}")
        back = said.rsplit("left ", 1)[-1].strip()
        if not (back.startswith(left) if left else back == "None"):
            found.append(f"uninstalling left {back}, not {left} {options}")
    return found
