"""Which public name belongs to which topic: read from the bindings, so that no page lists names.

A topic is called as its file is: `io` is cpp/bindings/bind_io.cpp, and `rados/omap` is
cpp/bindings/rados/bind_omap.cpp. The names of the latter stand in `rbd.rados`.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional, Tuple

import cppheaders

import rbd

BINDINGS = Path(__file__).resolve().parents[2] / "cpp" / "bindings"
# What the bindings call the classes to which many topics add, and how their names begin.
SHARED = {"rbd": "RBD", "image": "Image", "rados": "rados.Rados", "ioctx": "rados.Ioctx"}
# "define(image, "name"", "define_gated(rbd, "rbd_x", "name"", "image.def_property_readonly("name"".
DEFINE = re.compile(r'\bdefine(?:_\w+)?\(\s*(\w+),\s*(?:"(?:rbd|rados)_\w+",\s*)?"(\w+)"')
PROPERTY = re.compile(r'\b(\w+)\.def_property(?:_readonly)?\(\s*"(\w+)"')
CLASS = re.compile(r'\bm,\s*"([A-Z]\w+)"')
# The methods of Image and Ioctx that go past pybind11, in tables of their own:
# "{"read", function(read)".
FAST = re.compile(r'\{"(\w+)", (?:(?:fast::)?function\(|\w+, METH_)')


def topics() -> List[str]:
    found = [path.relative_to(BINDINGS) for path in BINDINGS.rglob("bind_*.cpp")]
    return sorted(path.with_name(path.stem[len("bind_") :]).as_posix() for path in found)


def source(topic: str) -> Path:
    """The file of a topic's bindings."""
    path = BINDINGS / topic
    return path.with_name(f"bind_{path.name}.cpp")


def found(name: str) -> Any:
    """What a name as in "supports" or "rados.Ioctx.read" stands for; None if there is no such."""
    value: Any = rbd
    for part in name.split("."):
        value = getattr(value, part, None)
    return value


def names(topic: str) -> List[str]:
    """The public names of a topic, as in "supports", "Image.read" or "Group", in their order."""
    code = source(topic).read_text()
    of_rados = topic.startswith("rados/")
    module, public = ("rados.", rbd.rados.__all__) if of_rados else ("", rbd.__all__)
    members = DEFINE.findall(code) + PROPERTY.findall(code)
    if of_rados:
        members = [("ioctx", name) for name in FAST.findall(code)] + members
    elif "bind_fastcall(image)" in code:
        members = [
            ("image", name)
            for name in FAST.findall((BINDINGS / "support" / "fastcall.cpp").read_text())
        ] + members
    listed = [f"{module}{name}" for of, name in members if of == "m" and name in public]
    for variable, cls in SHARED.items():
        listed += [
            f"{cls}.{name}"
            for of, name in members
            if of == variable and not name.startswith("_") and hasattr(found(cls), name)
        ]
    listed += [f"{module}{name}" for name in CLASS.findall(code) if name in public]
    return list(dict.fromkeys(listed))


# What a binding does between its name and its docstring, and what it calls there.
BODY = re.compile(
    r'\bdefine\w*\(\s*(rbd|image|rados|ioctx),\s*(?:"(?:rbd|rados)_\w+",\s*)?"(\w+)",'
    r'(.*?)(?=R"\(|\n\s*"|, "[A-Z]|, about,)',
    re.S,
)
FAST_BODY = re.compile(r"^PyObject\* (\w+)\(PyObject\* self.*?^\}", re.S | re.M)
CALLED = re.compile(r"\b(?:topics::)?(\w+)::(\w+)\b")
ON_ITSELF = re.compile(r"\bself\.(\w+)\(")
# The C++ classes of the shared ones.
IN_CPP = {"Image": "rbdxx::Image", "rados.Rados": "rbdxx::Cluster", "rados.Ioctx": "rbdxx::IoCtx"}
# "define(ioctx, "stat", status_of,": the function stands above.
NAMED = re.compile(r"^\s*(\w+),\s*$")


def bodies(topic: str) -> Iterator[Tuple[str, str]]:
    """The methods of a topic, and the C++ code that each runs."""
    code = source(topic).read_text()
    fast = dict(re.findall(r'\{"(\w+)", fast::function\((\w+)\)', code))
    for name, function in fast.items():
        yield f"{SHARED['ioctx']}.{name}", body_of(function, code)
    for variable, name, body in BODY.findall(code):
        named = NAMED.match(body)
        yield f"{SHARED[variable]}.{name}", body_of(named.group(1), code) if named else body


def body_of(function: str, code: str) -> str:
    """What stands between the braces of a function of a file; '' if it is not there."""
    match = re.search(rf"^\S[^\n;]*\b{function}\([^;{{]*\{{\n.*?^\}}", code, re.S | re.M)
    return match.group() if match else ""


@cache
def in_cpp() -> Dict[str, str]:
    """The C++ function behind a method, as in {"Image.read": "rbdxx::io::read"}."""
    declared = {name for topic in cppheaders.topics() for name in cppheaders.functions(topic)}

    def called(method: str, body: str, namespace: str = "rbdxx") -> Optional[str]:
        # The text of an error is not what the method is for.
        body = re.sub(r"\bthrow\b[^;]*;", "", body)
        cls, _, name = method.rpartition(".")
        calls = CALLED.findall(body)
        forms = [f"{place}::{of}::{one}" for of, one in calls for place in (namespace, "rbdxx")]
        forms += [f"{IN_CPP.get(cls)}::{one}" for one in ON_ITSELF.findall(body)]
        forms += [f"{IN_CPP.get(cls)}::{name}"]
        forms = [form for form in forms if form in declared]
        # An older form of the call may come first, or a question about the state.
        alike = [form for form in forms if form.endswith(f"::{name}")]
        return next(iter(alike + forms), None)

    forms: Dict[str, Optional[str]] = {}
    fast = (BINDINGS / "support" / "fastcall.cpp").read_text().partition("start_read(")[0]
    for match in FAST_BODY.finditer(fast):
        name = f"Image.{match.group(1)}"
        forms[name] = called(name, match.group())
    for topic in topics():
        namespace = "rbdxx::rados" if topic.startswith("rados/") else "rbdxx"
        for name, body in bodies(topic):
            forms.setdefault(name, called(name, body, namespace))
    return {name: form for name, form in forms.items() if form}
