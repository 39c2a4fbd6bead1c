"""Makes reStructuredText of the package's docstrings, which are plain text.

They are written for help(): names in single backticks, `x*` and `X_` as they come, examples
indented or with Python's prompt, sections as numpydoc underlines them, and the C functions in a
last paragraph, "Implements: rbd_x". Sections become fields, with the types of `stubs`; a name in
backticks that is one of the package becomes a link; a C function gets the release that brought it.
"""

from __future__ import annotations

import inspect
import re
from functools import cache
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

import names
import stubs

import rbd

IMPLEMENTS = re.compile(r"Implements:\s*((?:rbd|rados)_\w+(?:,\s*(?:rbd|rados)_\w+)*)")
#: Sections whose entries are a name and an indented text, and all that there are.
LISTS = ("Parameters", "Raises")
SECTIONS = (*LISTS, "Returns", "Notes", "Examples")
# A stretch of code as it stands, or a character that means something to reStructuredText.
SPECIAL = re.compile(r"``[^`]+``|`[^`]+`|[*|\\]|_(?=\W|$)")
OLDEST = 14
#: The classes whose methods have the same names, awaited and not.
TWINS = {
    "rbd.Image": "rbd.aio.AsyncImage",
    "rbd.RBD": "rbd.aio.RBD",
    "rbd.Group": "rbd.aio.Group",
    "rbd.rados.Rados": "rbd.aio.AsyncRados",
    "rbd.rados.Ioctx": "rbd.aio.AsyncIoctx",
}


@cache
def found(name: str) -> Any:
    """What a dotted name such as 'rbd.Image.read' stands for, or None."""
    value: Any = rbd
    for part in name.split(".")[1:]:
        if inspect.ismodule(value):
            try:
                value = getattr(value, part)
            except AttributeError:
                return None
        else:
            value = getattr(value, part, None)
    return value


def target(word: str, name: str) -> Optional[str]:
    """The dotted name of what `word` means in the docstring of `name`; None for what is no name."""
    if not re.fullmatch(r"[A-Za-z][\w.]*(?:\(\))?", word) or word == "rbd":
        return None
    word = word[:-2] if word.endswith("()") else word
    places = [name.rsplit(".", depth)[0] for depth in (1, 2) if name.count(".") >= depth]
    if inspect.ismodule(found(name)):
        places.insert(0, name)
    for place in [""] if word.startswith("rbd.") else [f"{one}." for one in (*places, "rbd")]:
        if not f"{place}{word}".startswith("rbd."):
            continue
        value = found(f"{place}{word}")
        own = str(getattr(value, "__module__", None) or getattr(value, "__objclass__", ""))
        if value is not None and (callable(value) or isinstance(value, property)) and "rbd" in own:
            return f"{place}{word}" if f"{place}{word}" != name else None
        if inspect.ismethoddescriptor(value) or inspect.isbuiltin(value):
            return f"{place}{word}" if f"{place}{word}" != name else None
    return None


def escaped(text: str, name: str = "") -> str:
    """The text with its backticks as links or literals, and everything else without a meaning."""

    def one(match: re.Match[str]) -> str:
        found = match.group()
        if found.startswith("`"):
            word = found.strip("`")
            link = target(word, name) if name else None
            return f":py:obj:`{word} <{link}>`" if link else f"``{word}``"
        return "\\" + found

    return SPECIAL.sub(one, text)


class Parts(NamedTuple):
    text: List[str]
    sections: Dict[str, List[str]]
    functions: List[str]


def taken_apart(lines: List[str]) -> Parts:
    functions: List[str] = []

    def taken(match: re.Match[str]) -> str:
        functions.extend(re.findall(r"\w+", match.group(1)))
        return ""

    plain = IMPLEMENTS.sub(taken, "\n".join(lines)).split("\n")
    parts = Parts([], {}, functions)
    into = parts.text
    number = 0
    while number < len(plain):
        line = plain[number]
        following = plain[number + 1] if number + 1 < len(plain) else ""
        heading = "Parameters" if line == "Other Parameters" else line
        if heading in SECTIONS and following == "-" * len(line):
            into = parts.sections.setdefault(heading, [])
            number += 2
            continue
        into.append(line)
        number += 1
    for one in (parts.text, *parts.sections.values()):
        while one and not one[-1].strip():
            one.pop()
    return parts


def paragraphs(lines: List[str], name: str = "") -> List[str]:
    """Text, in which code is indented or has Python's prompt."""
    result: List[str] = []
    prompt = False
    for line in lines:
        prompt = line.startswith(">>> ") or (prompt and bool(line.strip()))
        if prompt:
            result.append(line)
            continue
        example = line.startswith("    ")
        if example and not (result and result[-1].startswith("    ")):
            result += ["::", ""]
        if line and not example and result and result[-1].startswith("    "):
            result.append("")
        result.append(line if example else escaped(line, name))
    return result


def entries(lines: List[str]) -> List[Tuple[str, str]]:
    """The names of a section, and what is indented below each, as one line."""
    found: List[Tuple[str, List[str]]] = []
    for line in lines:
        if line and not line.startswith(" "):
            found.append((line.split(" : ")[0], []))
        elif line.strip() and found:
            found[-1][1].append(line.strip())
    return [(one.strip(), " ".join(text)) for names, text in found for one in names.split(",")]


def fields(parts: Parts, name: str, types: Optional[stubs.Types]) -> List[str]:
    known = dict(types.parameters) if types else {}
    result = []
    for one, text in entries(parts.sections.get("Parameters", [])):
        written = one.replace("*", r"\*")
        result.append(f":param {written}: {escaped(text, name)}")
        if known.get(one):
            result.append(f":type {written}: {known.pop(one)}")
    if "Parameters" not in parts.sections:
        for one, kind in known.items():
            result += [f":param {one}:", f":type {one}: {kind}"] if kind else []
    returns = parts.sections.get("Returns")
    if returns:
        result.append(f":returns: {escaped(' '.join(line.strip() for line in returns), name)}")
    if types and types.result not in ("", "None"):
        inner = stubs.elements(types.result)
        result.append(f":rtype: {types.result}" + (f" of {inner}" if inner else ""))
    for one, text in entries(parts.sections.get("Raises", [])):
        result.append(f":raises {exception(one, name)}: {escaped(text, name)}")
    return result


def exception(word: str, name: str) -> str:
    """The exception that a docstring means: rbd.rados has others of the same names."""
    of_rados = name.startswith("rbd.rados.") or ".AsyncRados." in name or ".AsyncIoctx." in name
    for place in ["rbd.rados", "rbd.exceptions"] if of_rados else ["rbd.exceptions"]:
        if inspect.isclass(found(f"{place}.{word}")):
            return f"~{place}.{word}"
    return word


@cache
def releases() -> Dict[str, int]:
    """The release of Ceph that brought each C function."""
    return {function: release for function, release, _ in rbd._core.table()}


def badge(release: int) -> str:
    return f" :release:`Ceph {release}`" if release > OLDEST else ""


def needed(functions: List[str]) -> int:
    """The oldest release that has one of the forms of a call."""
    return min((releases().get(function, OLDEST) for function in functions), default=OLDEST)


def related(name: str) -> List[str]:
    """The same call in its other forms."""
    cls, _, method = name.rpartition(".")
    found_in = []
    for one, other in TWINS.items():
        for here, there in ((one, other), (other, one)):
            if cls == here and callable(found(f"{there}.{method}")):
                found_in.append(f"{there}.{method}")
    if callable(found(f"{cls}.aio_{method}")):
        found_in.append(f"{cls}.aio_{method}")
    if method.startswith("aio_") and callable(found(f"{cls}.{method[4:]}")):
        found_in.append(f"{cls}.{method[4:]}")
    return found_in


def rewritten(lines: List[str], name: str = "", types: Optional[stubs.Types] = None) -> List[str]:
    """The lines of a docstring as reStructuredText."""
    parts = taken_apart(lines)
    result = paragraphs(parts.text, name)
    made = fields(parts, name, types)
    if made:
        result += ["", *made]
    for section in ("Notes", "Examples"):
        if section in parts.sections:
            result += ["", f".. rubric:: {section}", ""]
            result += paragraphs(parts.sections[section], name)
    if name and not inspect.isclass(found(name)):
        forms = [f":py:obj:`{form} <{form}>`" for form in related(name)]
        in_cpp = names.in_cpp().get(name[len("rbd.") :])
        if in_cpp:
            forms.append(f":cpp:func:`{in_cpp}`")
        if forms:
            links = ", ".join(forms)
            result += ["", f"*See also:* {links}"]
    if parts.functions:
        functions = [
            f"``{function}``{badge(releases().get(function, OLDEST))}"
            for function in parts.functions
        ]
        result += ["", "*C function:* " + ", ".join(functions)]
        if needed(parts.functions) > OLDEST:
            result = [f":release:`needs Ceph {needed(parts.functions)}`", "", *result]
    return result + [""]


def base(cls: type) -> str:
    """A class that another one derives from, by its full name."""
    if cls.__module__ == "builtins":
        return f"the builtin ``{cls.__name__}``"
    name = f"{cls.__module__}.{cls.__qualname__}"
    return f":py:class:`{name} <{name}>`"


def dictionary(cls: type) -> List[str]:
    """The keys of a TypedDict as a table of fields."""
    result = []
    for base in reversed(cls.__dict__.get("__orig_bases__", ()) or ()):
        if getattr(base, "__name__", "").startswith("_"):
            result += dictionary(base)
    for one, kind, text in stubs.fields(cls):
        result += [f":ivar {one}: {escaped(text)}", f":vartype {one}: {kind}"]
    return result
