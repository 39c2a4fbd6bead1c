"""Joins the manual's readers of docstrings and headers to Sphinx.

`docstrings` and `cppheaders` need no Sphinx, so that the tests can use them without it.
"""

from __future__ import annotations

import importlib
import re
from typing import Any, List, Optional, Tuple

import cppheaders
import docstrings
import stubs
from docutils import nodes
from docutils.statemachine import StringList
from sphinx.util.docutils import SphinxDirective

#: Where a type or an exception may be that is named without its module.
MODULES = ("aio", "files", "rados", "spec", "testing", "transfer", "types")


def process(app: Any, what: str, name: str, value: Any, options: Any, lines: List[str]) -> None:
    types = None
    if what in ("function", "method") and callable(value):
        types = stubs.of(name, value)
    elif what == "class" and "Parameters" in lines:
        types = stubs.of(f"{name}.__init__", value.__init__)
    lines[:] = docstrings.rewritten(lines, name, types)
    if what == "class" and isinstance(value, type) and hasattr(value, "__total__"):
        lines += ["", *docstrings.dictionary(value), ""]


#: What annotations may name that no page has: other packages' and the interpreter's.
FOREIGN = re.compile(
    r"(asyncio|builtins|collections|contextlib|ctypes|datetime|io|os|pathlib|types|typing"
    r"|typing_extensions|np|numpy|pyarrow|fsspec|subprocess|concurrent|time)(\.|$)"
)


def link(app: Any, env: Any, node: Any, contnode: Any) -> Optional[nodes.Node]:
    """A reference that Sphinx did not find: a type or exception by its bare name."""
    if node.get("refdomain") != "py":
        return None
    domain = env.get_domain("py")
    wanted = node["reftarget"]
    last = wanted.rsplit(".", 1)[-1]
    module = node.get("py:module") or "rbd"
    places = [module, "rbd", "rbd.exceptions", *(f"rbd.{one}" for one in MODULES)]
    candidates = [wanted, *(f"{place}.{wanted}" for place in places)]
    if wanted.startswith("rbd."):
        candidates += [f"{place}.{last}" for place in places]
        # A method by the class that it is documented in.
        candidates += [f"rbd.{'.'.join(wanted.rsplit('.', 2)[-2:])}"]
    for candidate in candidates:
        entry = domain.objects.get(candidate)
        if entry is not None:
            return domain_reference(app, node, candidate, entry, contnode)
    if "." not in wanted and hasattr(importlib.import_module("builtins"), wanted):
        return contnode  # type: ignore[no-any-return]
    if FOREIGN.match(wanted):
        return contnode  # type: ignore[no-any-return]
    if wanted in FOREIGN_NAMES or last.startswith("_"):
        return contnode  # type: ignore[no-any-return]
    return None


#: The same, without their modules.
FOREIGN_NAMES = {
    "Array", "BinaryIO", "Buffer", "BufferedRandom", "BufferedReader", "BufferedWriter", "Path",
    "PathLike", "TracebackType", "Context", "object", "SupportsIndex", "Figure", "Axes",
    "struct_time", "timedelta", "WriteableBuffer", "ReadableBuffer",
}  # fmt: skip


def domain_reference(app: Any, node: Any, name: str, entry: Any, contnode: Any) -> nodes.Node:
    from sphinx.util.nodes import make_refnode

    return make_refnode(app.builder, node["refdoc"], entry.docname, entry.node_id, contnode, name)


def release_role(
    role: str, raw: str, text: str, line: int, inliner: Any, options: Any = None, content: Any = ()
) -> Tuple[List[nodes.Node], List[nodes.system_message]]:
    """:release:`Ceph 16`: which release of Ceph something needs."""
    return [nodes.inline(raw, text, classes=["release"])], []


class Header(SphinxDirective):
    required_arguments = 1

    def run(self) -> List[nodes.Node]:
        topic = self.arguments[0]
        path = cppheaders.HEADERS / f"{topic}.hpp"
        self.env.note_dependency(str(path))
        lines = [
            f"``#include <rbdxx/{topic}.hpp>``",
            "",
            *cppheaders.introduction(path.read_text()),
        ]
        lines += cppheaders.rendered(cppheaders.read(topic), "")
        text = ["```{eval-rst}", *lines, "```"]
        node = nodes.Element()
        self.state.nested_parse(StringList(text, str(path)), self.content_offset, node)
        return node.children


def process_bases(app: Any, name: str, value: Any, options: Any, bases: List[Any]) -> None:
    """Say of which module a base is: rbd, rbd.rados and Python have an OSError each."""
    bases[:] = [docstrings.base(one) if isinstance(one, type) else one for one in bases]


def setup(app: Any) -> dict[str, bool]:
    app.add_directive("cppheader", Header)
    app.add_role("release", release_role)
    app.connect("autodoc-process-docstring", process)
    app.connect("autodoc-process-bases", process_bases)
    app.connect("missing-reference", link)
    return {"parallel_read_safe": True}
