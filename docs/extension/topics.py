"""The directive `{topic} WORD`: everything that cpp/bindings/bind_WORD.cpp makes, documented."""

from __future__ import annotations

from typing import Any, ClassVar, Iterator, List

from docutils import nodes
from docutils.parsers.rst import directives
from docutils.statemachine import StringList
from names import BINDINGS, SHARED, names
from sphinx.util.docutils import SphinxDirective

import rbd


def autodoc(name: str) -> Iterator[str]:
    """The directive that documents a name; RBD and Image without what the topics add to them."""
    value = getattr(rbd, name.split(".")[0])
    kind = "class" if isinstance(value, type) else "function"
    if "." in name:
        value = getattr(value, name.split(".")[1])
        kind = "attribute" if isinstance(value, property) else "method"
    yield f".. auto{kind}:: rbd.{name}"
    if kind == "class" and name not in SHARED.values():
        yield "   :members:"
        yield "   :special-members: __iter__, __len__, __getitem__"
    yield ""


class Generated(SphinxDirective):
    """Makes Markdown, to be parsed in its place."""

    def parsed(self, lines: List[str]) -> List[nodes.Node]:
        node = nodes.Element()
        self.state.nested_parse(StringList(lines, "generated"), self.content_offset, node)
        return node.children


class Topic(Generated):
    required_arguments = 1
    # Names that no call in the topic's binding makes.
    option_spec: ClassVar[Any] = {"also": directives.unchanged_required}

    def run(self) -> List[nodes.Node]:
        topic = self.arguments[0]
        self.env.note_dependency(str(BINDINGS / f"bind_{topic}.cpp"))
        also = self.options.get("also", "").split()
        found = list(dict.fromkeys([*also, *names(topic)]))
        if not found:
            raise self.error(f"the topic {topic} has no public names")
        return self.parsed(
            ["```{eval-rst}", *(line for name in found for line in autodoc(name)), "```"]
        )


class Constants(Generated):
    """The constants of the module, with their values."""

    def run(self) -> List[nodes.Node]:
        rows = [f"| `{name}` | {value} |" for name, value in sorted(rbd._core.constants.items())]
        return self.parsed(["| name | value |", "|---|---|", *rows])


def setup(app: Any) -> dict[str, bool]:
    app.add_directive("topic", Topic)
    app.add_directive("constants", Constants)
    return {"parallel_read_safe": True}
