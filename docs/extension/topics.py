"""The directive `{topic} WORD`: everything that cpp/bindings/bind_WORD.cpp makes, documented."""

from __future__ import annotations

from typing import Any, ClassVar, Iterator, List

import names
from docutils import nodes
from docutils.parsers.rst import directives
from docutils.statemachine import StringList
from sphinx.util.docutils import SphinxDirective

import rbd


def autodoc(name: str) -> Iterator[str]:
    """The directive that documents a name; a shared class without what the topics add to it."""
    value = names.found(name)
    member = isinstance(names.found(name.rpartition(".")[0]), type)
    if isinstance(value, type):
        kind = "exception" if issubclass(value, BaseException) else "class"
    elif member:
        kind = "attribute" if isinstance(value, property) else "method"
    else:
        kind = "function" if callable(value) else "data"
    yield f".. auto{kind}:: rbd.{name}"
    if kind == "class" and name not in names.SHARED.values():
        yield "   :members:"
        yield "   :special-members: __iter__, __next__, __len__, __getitem__"
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
        self.env.note_dependency(str(names.source(topic)))
        also = self.options.get("also", "").split()
        found = list(dict.fromkeys([*also, *names.names(topic)]))
        if not found:
            raise self.error(f"the topic {topic} has no public names")
        return self.parsed(
            ["```{eval-rst}", *(line for name in found for line in autodoc(name)), "```"]
        )


class Constants(Generated):
    """The constants of the module `rbd`, or of `rbd.rados`, with their values."""

    optional_arguments = 1

    def run(self) -> List[nodes.Node]:
        constants = rbd._core.rados.constants if self.arguments else rbd._core.constants
        rows = [f"| `{name}` | {shown(value)} |" for name, value in sorted(constants.items())]
        return self.parsed(["| name | value |", "|---|---|", *rows])


class Exceptions(Generated):
    """The exceptions of a package, such as `rados`, which shows those of its `exceptions`."""

    required_arguments = 1

    def run(self) -> List[nodes.Node]:
        package = getattr(rbd, self.arguments[0])
        lines = ["```{eval-rst}"]
        for name in package.exceptions.__all__:
            if isinstance(getattr(package, name), type):
                lines += [
                    f".. autoexception:: {package.__name__}.{name}",
                    "   :show-inheritance:",
                    "",
                ]
        return self.parsed([*lines, "```"])


def shown(value: object) -> str:
    return f"`{value!r}`" if isinstance(value, str) else str(value)


def setup(app: Any) -> dict[str, bool]:
    app.add_directive("topic", Topic)
    app.add_directive("constants", Constants)
    app.add_directive("exceptions", Exceptions)
    return {"parallel_read_safe": True}
