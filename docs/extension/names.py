"""Which public name belongs to which topic: read from the bindings, so that no page lists names."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Dict, List, Optional

import cppheaders

import rbd

BINDINGS = Path(__file__).resolve().parents[2] / "cpp" / "bindings"
# What the bindings call the two classes to which many topics add.
SHARED = {"rbd": "RBD", "image": "Image"}
# "define(image, "name"", "define_gated(rbd, "rbd_x", "name"", "image.def_property_readonly("name"".
DEFINE = re.compile(r'\bdefine(?:_\w+)?\(\s*(\w+),\s*(?:"rbd_\w+",\s*)?"(\w+)"')
PROPERTY = re.compile(r'\b(\w+)\.def_property_readonly\(\s*"(\w+)"')
CLASS = re.compile(r'\bm,\s*"([A-Z]\w+)"')
# The methods of Image that go past pybind11, in a table of their own: "{"read", function(read)".
FAST = re.compile(r'\{"(\w+)", (?:function\(|\w+, METH_)')


def topics() -> List[str]:
    return sorted(path.stem[len("bind_") :] for path in BINDINGS.glob("bind_*.cpp"))


def names(topic: str) -> List[str]:
    """The public names of a topic, as in "supports", "Image.read" or "Group", in their order."""
    code = (BINDINGS / f"bind_{topic}.cpp").read_text()
    members = DEFINE.findall(code) + PROPERTY.findall(code)
    if "bind_fastcall(image)" in code:
        members = [
            ("image", name)
            for name in FAST.findall((BINDINGS / "support" / "fastcall.cpp").read_text())
        ] + members
    found = [name for of, name in members if of == "m" and name in rbd.__all__]
    for variable, cls in SHARED.items():
        found += [
            f"{cls}.{name}"
            for of, name in members
            if of == variable and not name.startswith("_") and hasattr(getattr(rbd, cls), name)
        ]
    found += [name for name in CLASS.findall(code) if name in rbd.__all__]
    return list(dict.fromkeys(found))


# What a binding does between its name and its docstring, and what it calls there.
BODY = re.compile(
    r'\bdefine\w*\(\s*(rbd|image),\s*(?:"rbd_\w+",\s*)?"(\w+)",(.*?)(?=R"\(|\n\s*")', re.S
)
FAST_BODY = re.compile(r"^PyObject\* (\w+)\(PyObject\* self.*?^\}", re.S | re.M)
CALLED = re.compile(r"\b(\w+)::(\w+)\b")


@cache
def in_cpp() -> Dict[str, str]:
    """The C++ function behind a method, as in {"Image.read": "rbdxx::io::read"}."""
    declared = {name for topic in cppheaders.topics() for name in cppheaders.functions(topic)}

    def called(body: str) -> Optional[str]:
        found = (f"rbdxx::{space}::{name}" for space, name in CALLED.findall(body))
        return next((name for name in found if name in declared), None)

    forms: Dict[str, Optional[str]] = {}
    fast = (BINDINGS / "support" / "fastcall.cpp").read_text().partition("start_read(")[0]
    for match in FAST_BODY.finditer(fast):
        forms[f"Image.{match.group(1)}"] = called(match.group())
    for topic in topics():
        code = (BINDINGS / f"bind_{topic}.cpp").read_text()
        for variable, name, body in BODY.findall(code):
            forms.setdefault(f"{SHARED[variable]}.{name}", called(body))
    return {name: form for name, form in forms.items() if form}
