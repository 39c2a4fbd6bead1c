"""The stub of the constants says what the table of constants says; run as a program, it is written.

The names cannot be derived at type checking: rbd copies them out of a dict of the extension.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import List

TABLE = "cpp/include/rbdxx/abi/constants.def"
STUB = "python/rbd/_constants.pyi"
ROW = re.compile(r"^RBDXX_(CONSTANT|TEXT)\(\d+,(?: *\w+,(?= *\w*,))? *(\w*), *(\w+),", re.M)


def stub(root: Path) -> str:
    types = {
        prefix + name: "str" if kind == "TEXT" else "int"
        for kind, prefix, name in ROW.findall((root / TABLE).read_text())
    }
    types["ECANCELED"] = "int"
    names = "".join(f'    "{name}",\n' for name in sorted(types))
    lines = [f"{name}: {kind}\n" for name, kind in types.items()]
    head = f"# Written by tools/check/constants.py from {TABLE}.\n"
    return f"{head}__all__ = [\n{names}]\n\n" + "".join(lines)


def findings(root: Path) -> List[str]:
    if not (root / TABLE).exists():
        return []
    path = root / STUB
    if path.exists() and path.read_text() == stub(root):
        return []
    return [f"{STUB}: does not agree with {TABLE}; python3 tools/check/constants.py writes it"]


if __name__ == "__main__":
    top = Path(__file__).resolve().parents[2]
    (top / STUB).write_text(stub(top))
