"""Makes reStructuredText of what a public C++ header declares, such as rbdxx/io.hpp.

Sphinx's C++ domain does the rest: it parses the declarations, links the types that it knows, and
puts every name into the index. The comments are those of the headers, in front of a declaration or
at the end of its line. What is private, or of the library's own use, is left out.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Iterator, List, NamedTuple, Optional, Tuple

from docstrings import IMPLEMENTS, badge, releases

HEADERS = Path(__file__).resolve().parents[2] / "cpp" / "include" / "rbdxx"
#: Headers that users do not call: the rest of the library includes them.
OWN = {
    "abi", "api", "detail", "handle", "loaded", "sized", "secret", "reader", "writer", "constants",
    "rados/constants",
}  # fmt: skip
#: What handles are made of: no user names them.
OF_THE_LIBRARY = re.compile(r"^(struct|class) \w*State( final)?$")
COMMENT = re.compile(r"[ \t]*//[ \t]?(.*)")


class Entity(NamedTuple):
    kind: str  # namespace, class, struct, enum, function, member, type, group
    text: str  # the declaration
    comment: List[str]
    children: List[Entity]


def topics() -> List[str]:
    paths = HEADERS.rglob("*.hpp")
    found = [path.relative_to(HEADERS).with_suffix("").as_posix() for path in paths]
    return sorted(name for name in found if name.split("/")[0] not in OWN and name not in OWN)


def namespaces() -> List[str]:
    """The namespaces of the topics; Sphinx takes them for no entities."""
    return sorted({topic.rsplit("/", 1)[-1] for topic in topics()})


class Reader:
    """Reads a header of this project's: formatted by clang-format, comments as lines."""

    def __init__(self, code: str) -> None:
        # Directives of the preprocessor declare nothing here.
        self.code = re.sub(r"^#(?:[^\n]*\\\n)*[^\n]*\n", "\n", code, flags=re.M)
        self.at = 0

    def comment(self) -> Tuple[List[str], bool]:
        """The comment that ends right before the next declaration; whether the scope ends."""
        lines: List[str] = []
        while True:
            match = re.compile(r"[ \t]*\n").match(self.code, self.at)
            if match:
                # An empty line parts a comment from what follows.
                lines = []
                self.at = match.end()
                continue
            match = COMMENT.match(self.code, self.at)
            if match:
                lines.append(match.group(1))
                self.at = min(match.end() + 1, len(self.code))
                continue
            break
        self.at = re.compile(r"\s*").match(self.code, self.at).end()  # type: ignore[union-attr]
        return lines, self.at >= len(self.code)

    def declaration(self) -> Tuple[str, str]:
        """The next declaration up to ';', '{' or ':' of an access label, and that character."""
        start, depth = self.at, 0
        while True:
            character = self.code[self.at]
            if self.code.startswith("//", self.at):
                self.at = self.code.index("\n", self.at)
                continue
            if character in "\"'":
                self.at = self.quoted(self.at)
                continue
            if character in "([":
                depth += 1
            elif character in ")]":
                depth -= 1
            elif depth == 0 and character == "{" and self.initializes(start):
                self.at = self.closing(self.at)
                continue
            elif depth == 0 and (character in ";{" or self.label(start)):
                text = self.code[start : self.at]
                self.at += 1
                return " ".join(re.sub(r"//[^\n]*|/\*.*?\*/", "", text).split()), character
            self.at += 1

    def initializes(self, start: int) -> bool:
        """Whether the brace at the reader's place is that of a value."""
        before = self.code[start : self.at].rstrip()
        if re.search(r"\b(class|struct|enum|namespace)\b[^=()]*$", before):
            return False
        return bool(re.search(r"(=|\b\w+|>)$", before)) and not re.search(
            r"\)\s*(const|noexcept|override|final|\s)*$", before
        )

    def label(self, start: int) -> bool:
        word = self.code[start : self.at].strip()
        return self.code[self.at] == ":" and word in ("public", "private", "protected")

    def quoted(self, at: int) -> int:
        quote = self.code[at]
        if quote == "'" and self.code[at - 1].isalnum():
            return at + 1
        at += 1
        while self.code[at] != quote:
            at += 2 if self.code[at] == "\\" else 1
        return at + 1

    def closing(self, at: int) -> int:
        """The place after the brace that closes the one at `at`."""
        depth = 0
        while True:
            if self.code.startswith("//", at):
                at = self.code.index("\n", at)
            elif self.code[at] in "\"'":
                at = self.quoted(at)
                continue
            depth += {"{": 1, "}": -1}.get(self.code[at], 0)
            at += 1
            if depth == 0:
                return at

    def trailing(self) -> List[str]:
        """A comment at the end of the line, and its lines below that stand further right."""
        match = re.compile(r"[ \t]*//[ \t]?([^\n]*)").match(self.code, self.at)
        if not match:
            return []
        self.at = match.end()
        return [match.group(1)]

    def scope(self, shown: bool) -> List[Entity]:
        """The entities up to the brace that closes the scope, or to the end."""
        found: List[Entity] = []
        while True:
            comment, over = self.comment()
            if over:
                return found
            if self.code[self.at] == "}":
                self.at += 1
                return found
            if self.code[self.at] == ";":
                self.at += 1
                continue
            text, end = self.declaration()
            if end == ":":
                shown = text.strip() == "public"
                continue
            entity = self.entity(text, end, comment)
            if shown and entity is not None:
                found.append(entity)

    def entity(self, text: str, end: str, comment: List[str]) -> Optional[Entity]:
        kind = re.match(r"(?:template <[^{]*> )?(namespace|class|struct|enum|union)\b", text)
        if end == "{":
            if kind and "(" not in re.sub(r"\([^()]*\)", "", text):
                what = kind.group(1)
                if what == "enum":
                    start = self.at - 1
                    self.at = self.closing(start)
                    body = self.code[start + 1 : self.at - 1]
                    return Entity("enum", text, comment, list(enumerators(body)))
                return Entity(what, text, comment, self.scope(what != "class"))
            # The body of a function.
            if text.startswith("extern"):
                return Entity("transparent", text, comment, self.scope(True))
            self.at = self.closing(self.at - 1)
            return function(text, comment or self.trailing())
        after = self.trailing()
        # A declaration of what stands elsewhere, or of the library's own use.
        if kind or "operator=" in text or "detail::" in text:
            return None
        if text.startswith(("using namespace", "friend", "static_assert", "extern")):
            return None
        if text.startswith("using "):
            if "=" not in text:
                return Entity("using", text, [], [])
            return Entity("type", text, comment or after, [])
        pointer = re.search(r"\(\*\w+\)\(", text)
        if (
            not pointer
            and re.search(r"\(", text.split("=")[0])
            and not re.search(r"std::function<", text)
        ):
            return function(text, comment or after)
        if "(" in text and not text.startswith(("static", "inline", "const")) and "= [" in text:
            return None
        return Entity("member", text, comment or after, [])


def enumerators(body: str) -> Iterator[Entity]:
    comment: List[str] = []
    for line in body.splitlines():
        match = re.match(r"\s*//\s?(.*)", line)
        if match:
            comment.append(match.group(1))
            continue
        code, _, after = line.partition("//")
        for name in filter(None, (one.strip() for one in code.split(","))):
            yield Entity("enumerator", name, comment or ([after.strip()] if after else []), [])
            comment = []


def function(text: str, comment: List[str]) -> Optional[Entity]:
    """A function without its initializers; None for what is deleted, or of no concern."""
    if re.search(r"= delete$", text) or "operator=" in text:
        return None
    text = re.sub(r"\)((?: const| noexcept)*) : .*$", r")\1", text)
    # What only the library itself calls.
    if re.search(r"\bdetail::|\bUse<|State>?[&*]? \w+\(|\b(use|state|adopt)\(", text):
        return None
    text = re.sub(r"\s*=\s*(default|0)$", "", text)
    text = re.sub(r"\b(override|final)\b", "", text)
    return Entity("function", " ".join(text.split()), comment, [])


def prose(comment: List[str]) -> List[str]:
    """A comment as reStructuredText, with the C functions last."""
    text = "\n".join(comment)
    functions: List[str] = []

    def taken(match: re.Match[str]) -> str:
        functions.extend(re.findall(r"\w+", match.group(1)))
        return ""

    text = IMPLEMENTS.sub(taken, text).strip()
    text = re.sub(r"\n{2,}", "\n\n", text)
    parts = []
    for part in re.split(r"\n\s*\n", text):
        words = " ".join(part.split())
        if words:
            parts.append(re.sub(r"`[^`]+`|[*|\\]|_(?=\W|$)", escape, words))
    if functions:
        names = ", ".join(f"``{one}``{badge(releases().get(one, 14))}" for one in functions)
        parts.append(f"*C function:* {names}")
    return [line for part in parts for line in (part, "")]


def escape(match: re.Match[str]) -> str:
    found = match.group()
    return f"``{found[1:-1]}``" if found.startswith("`") else "\\" + found


def declared(text: str) -> str:
    """What the C++ domain can parse: without defaults that are no part of a type's meaning."""
    text = re.sub(r"^(inline|static) (constexpr|const) ", r"\2 ", text)
    return re.sub(r"\b(explicit|virtual|inline|static) (?=\w)", r"\1 ", text)


def rendered(entities: List[Entity], namespace: str, indent: str = "") -> List[str]:
    lines: List[str] = []
    # "using engine::Operation;": the name as the domain knows it.
    full = {
        entity.text.rsplit("::", 1)[1]: entity.text[len("using ") :]
        for entity in entities
        if entity.kind == "using"
    }
    for entity in entities:
        if entity.kind == "using" or OF_THE_LIBRARY.search(entity.text.split(" : ")[0]):
            continue
        if entity.kind == "transparent":
            lines += rendered(entity.children, namespace, indent)
            continue
        if entity.kind == "namespace":
            name = entity.text.split("namespace", 1)[1].strip()
            inner = f"{namespace}::{name}" if namespace else name
            if not name or "detail" in inner:
                continue
            if entity.comment:
                lines += [indent + line for line in prose(entity.comment)]
            lines += [f"{indent}.. cpp:namespace:: {inner}", ""]
            lines += rendered(entity.children, inner, indent)
            lines += [f"{indent}.. cpp:namespace:: {namespace or 'NULL'}", ""]
            continue
        if entity.kind in ("class", "struct", "enum", "union"):
            keyword = "enum-class" if entity.text.startswith("enum class") else entity.kind
            words = r"^(template <.*> )?(?:enum class|class|struct|enum|union) "
            name = re.sub(words, r"\1", entity.text)
            name = re.sub(r"\bfinal\b ?", "", name).strip()
            lines += [f"{indent}.. cpp:{keyword}:: {name}", ""]
        else:
            text = entity.text
            for word, name in full.items():
                text = re.sub(rf"(?<!::)\b{word}\b", name, text)
            if entity.kind == "type":
                text = text[len("using ") :]
            lines += [f"{indent}.. cpp:{entity.kind}:: {declared(text)}", ""]
        lines += [f"{indent}   {line}" if line else "" for line in prose(entity.comment)]
        lines += rendered(entity.children, namespace, indent + "   ")
    return lines


def functions(topic: str) -> List[str]:
    """The full names of the functions of a header: of its namespaces, and of its classes."""
    found: List[str] = []

    def walk(entities: List[Entity], place: str) -> None:
        for entity in entities:
            words = entity.text.split(" : ")[0]
            if OF_THE_LIBRARY.search(words):
                continue
            scope = re.match(r"(?:namespace|class|struct) ([\w:]+)", words)
            if scope and entity.kind in ("namespace", "class", "struct"):
                walk(entity.children, f"{place}::{scope.group(1)}" if place else scope.group(1))
            elif entity.kind == "function":
                name = re.search(r"(\w+)\(", entity.text)
                found.extend([f"{place}::{name.group(1)}"] if name else [])

    walk(read(topic), "")
    return found


def introduction(code: str) -> List[str]:
    """The comment at the head of a header."""
    lines = []
    for line in code.splitlines():
        match = COMMENT.match(line)
        if not match:
            break
        lines.append(match.group(1))
    return prose(lines)


def read(topic: str) -> List[Entity]:
    return Reader((HEADERS / f"{topic}.hpp").read_text()).scope(True)
