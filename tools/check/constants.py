"""Check that the stubs of the constants agree with their tables; as a program, write the stubs.

Type checkers cannot derive the names, because the packages copy them out of dicts of the extension.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Dict, List

# The table, the stub, and the names that only the stub's package adds.
STUBS = (
    ("cpp/include/rbdxx/abi/constants.def", "python/rbd/_constants.pyi", {"ECANCELED": "int"}),
    ("cpp/include/rbdxx/abi/rados_constants.def", "python/rbd/rados/_constants.pyi", {}),
)
ROW = re.compile(r"^RBDXX_(CONSTANT|TEXT)\(\d+,(?: *\w+,(?= *\w*,))? *(\w*), *(\w+),", re.M)


def stub(root: Path, table: str, more: Dict[str, str]) -> str:
    types = {
        prefix + name: "str" if kind == "TEXT" else "int"
        for kind, prefix, name in ROW.findall((root / table).read_text())
    }
    types.update(more)
    names = "".join(f'    "{name}",\n' for name in sorted(types))
    lines = [f"{name}: {kind}\n" for name, kind in types.items()]
    head = f"# Written by tools/check/constants.py from {table}.\n"
    return f"{head}__all__ = [\n{names}]\n\n" + "".join(lines)


def findings(root: Path) -> List[str]:
    found = []
    for table, name, more in STUBS:
        path = root / name
        if not (root / table).exists():
            continue
        if not path.exists() or path.read_text() != stub(root, table, more):
            found.append(
                f"{name}: does not agree with {table}; python3 tools/check/constants.py writes it"
            )
    return found


if __name__ == "__main__":
    top = Path(__file__).resolve().parents[2]
    for table, name, more in STUBS:
        (top / name).write_text(stub(top, table, more))
