"""The tables and the reference of the manual agree with the code."""

from __future__ import annotations

import builtins
import errno
import re
import sys
from pathlib import Path
from typing import Any, Dict, List, Optional, Set, Tuple

import pytest

import rbd
from rbd import exceptions

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "docs" / "extension"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tools" / "check"))

import cppheaders
import docstrings
import names
import stubs
from tree import files, text_of

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"


def table_rows(page: str, columns: int, part: Optional[int] = None) -> List[List[str]]:
    """Return the rows of the page's tables with this many columns, without their heads.

    part: only the tables under this heading, by its number; 0 means before the first.
    """
    rows: List[List[str]] = []
    text = (DOCS / page).read_text()
    if part is not None:
        text = re.split(r"^## ", text, flags=re.M)[part]
    for line in text.splitlines():
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if len(cells) != columns:
            continue
        if set("".join(cells)) <= {"-"}:
            rows.pop()  # the head
        else:
            rows.append(cells)
    assert rows
    return rows


# Settings

VARIABLE = re.compile(
    r"""environ(?:\.get\(|\[)\s*["'](\w+)["']|getenv\(\s*"(\w+)"|from_environment\("(\w+)\""""
    r"""|\$\{?([A-Z]\w+)(?::?[-+?=])"""
)
# Variables of the tests, and variables of every program.
NOT_SETTINGS = {"PATH", "TZ"}


def read_variables(root: Path) -> Set[str]:
    """Return the environment variables that the code reads."""
    patterns = ("python/*", "cpp/*", "tools/*", "tests/*", "benchmarks/*", "examples/*", "dev")
    found = set()
    for path in files(root, *patterns):
        for match in VARIABLE.finditer(text_of(path)):
            found.add(next(name for name in match.groups() if name))
    return {name for name in found - NOT_SETTINGS if not name.startswith("FAKERBD_")}


def test_every_environment_variable_is_a_setting() -> None:
    listed = {
        name
        for cells in table_rows("settings.md", 3)
        for name in re.findall(r"`([A-Z]\w+)`", cells[0])
    }
    # CMake itself reads this one too.
    assert listed == read_variables(ROOT) | {"CMAKE_BUILD_PARALLEL_LEVEL"}


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("python/a.py", 'x = os.environ.get("%s", "")'),
        ("python/a.py", "x = os.environ['%s']"),
        ("cpp/a.cpp", 'auto x = from_environment("%s", "");'),
        ("cpp/a.cpp", 'auto x = std::getenv("%s");'),
        ("tools/a.sh", "x=${%s:-1}"),
    ],
)
def test_a_new_variable_is_found(name: str, line: str, tmp_path: Path) -> None:
    (tmp_path / name).parent.mkdir()
    (tmp_path / name).write_text(line % "NEW_SETTING")
    assert read_variables(tmp_path) == {"NEW_SETTING"}


def test_every_option_that_the_code_sets_is_a_setting() -> None:
    code = "".join(text_of(path) for path in files(ROOT, "python/rbd/*.py", "cpp/*.cpp"))
    call = r'(?:conf_set|self\.set|set_at_most)\(\s*(?:functions, )?(?:cluster, )?"(\w+)"'
    read = set(re.findall(call, code))
    listed = {
        name
        for cells in table_rows("settings.md", 2)
        for name in re.findall(r"`([a-z]\w+)`", cells[0])
    }
    assert listed == read


def test_options_have_the_documented_defaults(rbd_cluster: Any) -> None:
    with rbd_cluster.connect() as cluster:
        for name, default, _ in table_rows("settings.md", 3):
            option = name.strip("`")
            if not option.islower():
                continue
            value = cluster.conf_get(option)
            if option == "rbd_read_from_replica_policy" and value is None:
                assert not rbd.supports("rbd_aio_write_zeroes"), "Ceph 16 has it"
                continue
            assert value is not None, option
            word = default.split(":")[0].strip("`")
            if word.isdigit():
                # Some releases print a duration as seconds with a fraction, some as a number.
                assert float(value.rstrip("s")) == float(word), option
            elif word and option not in rbd_cluster_overrides(rbd_cluster):
                assert value == word, option


def rbd_cluster_overrides(cluster: Any) -> Set[str]:
    """Return the options that the test's cluster sets."""
    text = Path(cluster.conffile).read_text()
    return {line.split("=")[0].strip() for line in text.splitlines() if "=" in line}


# Errors


def error_rows() -> Dict[Tuple[str, str], List[str]]:
    return {(cells[0], cells[1]): cells for cells in table_rows("errors.md", 5, part=0)}


def names_of(cell: str) -> List[str]:
    return re.findall(r"`([\w.]+)`", cell)


def test_errors_have_the_documented_errno() -> None:
    listed = set()
    for number, name in error_rows():
        if number == "None":
            continue
        word, value = number.split()
        assert getattr(errno, word) == int(value)
        listed.add((int(value), *names_of(name)))
    maps = (exceptions.errno_to_exception, exceptions.group_errno_to_exception)
    known = {(code, cls.__name__) for one in maps for code, cls in one.items()}
    assert listed == known | {(errno.EILSEQ, "CompareMismatch")}


def test_errors_derive_from_the_documented_builtins() -> None:
    for (_, name), cells in error_rows().items():
        cls = getattr(rbd, names_of(name)[0])
        assert issubclass(cls, rbd.OSError)
        also = [base.__name__ for base in cls.__bases__ if base.__module__ == "builtins"]
        assert names_of(cells[2]) == also


def test_errors_of_connections_are_documented() -> None:
    listed = set()
    for number, name, also, *_ in table_rows("errors.md", 5, part=1):
        for one in names_of(name):
            cls = getattr(rbd.rados, one)
            # A star marks those that are not a rados.OSError. A class without an errno is none
            # either.
            assert issubclass(cls, rbd.rados.OSError) == (number != "None" and "*" not in name)
            assert all(issubclass(cls, getattr(builtins, builtin)) for builtin in names_of(also))
            if number != "None":
                word, value = number.split()
                assert getattr(errno, word) == int(value)
                listed.add((int(value), one))
    known = {(code, cls.__name__) for code, cls in rbd.rados._errno_to_exception.items()}
    assert listed == known


def test_every_exception_is_on_the_page() -> None:
    listed = {names_of(name)[0] for _, name in error_rows()}
    others = {names_of(cells[0])[0]: names_of(cells[1]) for cells in table_rows("errors.md", 4)}
    assert listed | {*others} - {"rbd.rados.Error"} == {
        name
        for name in exceptions.__all__
        if isinstance(getattr(rbd, name), type) and name not in ("Error", "OSError")
    }
    for name, bases in others.items():
        cls = rbd.rados.Error if name == "rbd.rados.Error" else getattr(rbd, name)
        for base in bases:
            target = rbd.Error if base == "rbd.Error" else getattr(builtins, base)
            assert issubclass(cls, target)
        assert not issubclass(cls, rbd.OSError)


# For developers


def test_code_of_other_languages_comes_from_built_files() -> None:
    patterns = ("cpp/*.cpp", "cpp/*.hpp", "examples/*.cpp", "*CMakeLists.txt", "*meson.build")
    sources = files(ROOT, *patterns)
    code = " ".join(" ".join(text_of(path).split()) for path in sources)
    blocks = [
        block
        for page in DOCS.rglob("*.md")
        for block in re.findall(
            r"^ *```(?:cpp|cmake|meson)\n(.*?)^ *```$", page.read_text(), re.M | re.S
        )
    ]
    assert len(blocks) > 3
    for block in blocks:
        assert " ".join(block.split()) in code


# Reference


def reference_pages() -> List[Path]:
    return sorted((DOCS / "reference").rglob("*.md"))


def reference() -> str:
    return "\n".join(page.read_text() for page in reference_pages())


def documented() -> List[str]:
    """Return the public names of `rbd` that the reference documents, by their topics."""
    text = reference()
    found: List[str] = []
    for topic, also in re.findall(r"^```\{topic\} (\S+)\n(?::also: (.*)\n)?", text, re.M):
        of_topic = names.names(topic)
        assert of_topic or also, f"{topic} has no names"
        found += of_topic + [name for name in also.split() if name not in of_topic]
    found += re.findall(r"^\.\. auto(?!module)\w+:: rbd\.(\w+|rados\.\w+)$", text, re.M)
    for package in re.findall(r"^```\{exceptions\} (\w+)$", text, re.M):
        found += [f"{package}.{name}" for name in exception_names(getattr(rbd, package))]
    # What a page describes itself: attributes that instances alone have.
    attributes = re.findall(r"^\.\. py:attribute:: (\w+\.\w+)$", text, re.M)
    return found + [f"rados.{name}" for name in attributes]


def exception_names(package: Any) -> List[str]:
    listed = package.exceptions.__all__
    return [name for name in listed if isinstance(getattr(package, name), type)]


def members(*classes: str) -> Set[str]:
    """The public methods and attributes of classes, as in 'Image.read' or 'rados.Ioctx.read'."""
    return {f"{cls}.{name}" for cls in classes for name in dir(names.found(cls)) if name[0] != "_"}


def test_every_topic_has_its_page() -> None:
    topics = names.topics()
    assert {"io", "rados/omap"} <= {*topics}
    for topic in topics:
        page = DOCS / "reference" / f"{topic}.md"
        if names.names(topic):
            assert f"```{{topic}} {topic}\n" in page.read_text(), topic


def test_every_public_name_is_in_the_reference_once() -> None:
    public = {*rbd.__all__, *rbd._LAZY_NAMES} - {*rbd._core.constants, *exceptions.__all__}
    public -= {"rados", "testing"}
    public |= members("RBD", "Image")
    found = [name for name in documented() if not name.startswith("rados.")]
    assert sorted(found) == sorted(set(found))
    assert public - {*found} == {"ADMIN_AUID", "ANONYMOUS_AUID", "ImageArray"}
    # These, and the rest, are on pages of another kind.
    text = reference()
    assert "```{constants}\n" in text
    for module in {*rbd._LAZY, "exceptions"} - {"rados"}:
        assert f".. automodule:: rbd.{module}\n   :members:" in text


def test_every_public_name_of_rados_is_in_the_reference_once() -> None:
    public = {f"rados.{name}" for name in rbd.rados.__all__ if name not in rados_constants()}
    public |= members("rados.Rados", "rados.Ioctx")
    found = [name for name in documented() if name.startswith("rados.")]
    assert sorted(found) == sorted(public)
    assert "```{constants} rados\n" in reference()


def rados_constants() -> Dict[str, object]:
    return dict(rbd._core.rados.constants)


def test_a_shared_class_has_its_methods_on_the_pages_of_their_topics() -> None:
    assert names.names("rados/xattr") == [
        *(f"rados.Ioctx.{name}" for name in ("get_xattr", "get_xattrs", "set_xattr", "rm_xattr")),
        "rados.XattrIterator",
    ]
    # Methods that go past pybind11, too.
    assert {"rados.Ioctx.read", "rados.Ioctx.stat"} <= {*names.names("rados/object")}


@pytest.mark.parametrize(
    ("method", "form"),
    [
        ("Image.read", "io::read"),
        # An older form of the call stands before it.
        ("RBD.create", "images::create"),
        ("rados.Ioctx.read", "rados::object::read"),
        # The function stands above the binding.
        ("rados.Ioctx.stat", "rados::object::status"),
        ("rados.Ioctx.get_xattrs", "rados::xattr::list"),
        ("rados.Rados.create_pool", "rados::pool::create"),
        # Methods of the C++ classes.
        ("Image.size", "Image::size"),
        ("Image.flatten", "Image::flatten"),
        ("rados.Rados.connect", "Cluster::connect"),
        ("rados.Rados.blocklist_add", "Cluster::blocklist_add"),
        ("rados.Ioctx.get_pool_id", "IoCtx::pool_id"),
    ],
)
def test_the_same_call_in_cpp(method: str, form: str) -> None:
    assert names.in_cpp()[method] == f"rbdxx::{form}"


def test_the_text_of_an_error_is_not_a_form_of_the_call() -> None:
    assert "Image.diff_iterate" not in names.in_cpp()


def test_every_page_of_the_reference_is_in_its_contents() -> None:
    for contents in (DOCS / "reference").rglob("index.md"):
        lines = contents.read_text().splitlines()
        pages = [page.stem for page in contents.parent.glob("*.md") if page != contents]
        pages += [f"{page.parent.name}/index" for page in contents.parent.glob("*/index.md")]
        assert len(pages) > 10
        assert [page for page in pages if lines.count(page) != 1] == []


def test_docstrings_are_converted_to_markup() -> None:
    text = """\
Reads `length` bytes, with RBD_FLAG_* and *args, of name_ and a|b:

    image.read(*where)
    more

Raises IOError. Implements: rbd_read,
rbd_snap_exists"""
    assert docstrings.rewritten(text.splitlines()) == [
        r"Reads ``length`` bytes, with RBD_FLAG\_\* and \*args, of name\_ and a\|b:",
        "",
        "::",
        "",
        "    image.read(*where)",
        "    more",
        "",
        "Raises IOError. ",
        "",
        "*C function:* ``rbd_read``, ``rbd_snap_exists`` :release:`Ceph 16`",
        "",
    ]


SECTIONS = """\
Do it.

Parameters
----------
name
    The *name*, as in
    `Image.read`.
one, two : int
    Numbers.

Returns
-------
A number.

Raises
------
IOError
    It failed.

Examples
--------
>>> 1 + 1
2

Implements: rbd_read"""


def test_sections_of_docstrings_get_the_types_of_the_stubs() -> None:
    types = stubs.Types({"name": "Text", "one": "int"}, "int | None")
    assert docstrings.rewritten(SECTIONS.splitlines(), "rbd.Image.write", types) == [
        "Do it.",
        "",
        r":param name: The \*name\*, as in :py:obj:`Image.read <rbd.Image.read>`.",
        ":type name: Text",
        ":param one: Numbers.",
        ":type one: int",
        ":param two: Numbers.",
        ":returns: A number.",
        ":rtype: int | None",
        ":raises ~rbd.exceptions.IOError: It failed.",
        "",
        ".. rubric:: Examples",
        "",
        ">>> 1 + 1",
        "2",
        "",
        "*See also:* :py:obj:`rbd.aio.AsyncImage.write <rbd.aio.AsyncImage.write>`, "
        ":py:obj:`rbd.Image.aio_write <rbd.Image.aio_write>`, :cpp:func:`rbdxx::io::write`",
        "",
        "*C function:* ``rbd_read``",
        "",
    ]


def test_a_call_that_ceph_14_lacks_says_so_first() -> None:
    function, release = max(docstrings.releases().items(), key=lambda item: item[1])
    first, *_ = docstrings.rewritten(["Do it.", "", f"Implements: {function}"])
    assert first == f":release:`needs Ceph {release}`"
    both = docstrings.rewritten(["Do it.", "", f"Implements: {function}, rbd_read"])
    assert both[0] == "Do it."


def test_no_type_of_the_reference_has_a_private_name() -> None:
    listener = stubs.of("rbd.rados.Rados.monitor_log", rbd.rados.Rados.monitor_log)
    assert listener is not None
    assert listener.parameters["callback"].startswith("Callable[[object, bytes")
    read = stubs.of("rbd.rados.Ioctx.aio_read", rbd.rados.Ioctx.aio_read)
    assert read is not None
    assert not re.search(r"\b_[A-Za-z]", " ".join(read.parameters.values()))


def test_a_callable_of_any_arguments_has_an_ellipsis() -> None:
    parsed = stubs.parsed("Optional[Callable[..., object]]")
    assert stubs.written(parsed) == "Callable[..., object] | None"


def test_a_base_is_named_with_its_module() -> None:
    assert docstrings.base(OSError) == "the builtin ``OSError``"
    assert docstrings.base(rbd.rados.Error) == ":py:class:`rbd.rados.Error <rbd.rados.Error>`"
    assert docstrings.base(rbd.OSError) == ":py:class:`rbd.OSError <rbd.OSError>`"


@pytest.mark.parametrize(
    ("name", "parameter", "kind"),
    [
        ("rbd.Image.read", "offset", "int"),
        ("rbd.Image.read_blocks", "out", "AnyBuffer | None"),
        ("rbd.RBD.create", "name", "Text"),
        ("rbd.rados.Ioctx.read", "offset", "int"),
        ("rbd.transfer.export_image", "fsync", "bool"),
    ],
)
def test_types_come_from_the_stubs(name: str, parameter: str, kind: str) -> None:
    types = stubs.of(name, docstrings.found(name))
    assert types is not None
    assert types.parameters[parameter] == kind


def test_results_come_from_the_stubs() -> None:
    def result(name: str) -> str:
        types = stubs.of(name, docstrings.found(name))
        return types.result if types else ""

    assert result("rbd.Image.read") == "bytes"
    assert result("rbd.Image.read_blocks") == "bytearray | AnyBuffer"
    assert result("rbd.Image.list_snaps") == "SnapIterator"
    assert stubs.elements("SnapIterator") == "SnapshotEntry"


def test_each_key_of_a_dict_has_a_meaning() -> None:
    dicts = [cls for cls in vars(rbd.types).values() if hasattr(cls, "__total__")]
    assert len(dicts) > 20
    for cls in dicts:
        for key, kind, text in stubs.fields(cls):
            assert kind, key
            assert text, f"{cls.__name__}.{key}"


# The reference of the C++ library


def test_every_public_header_is_in_the_reference_once() -> None:
    text = "\n".join(page.read_text() for page in (DOCS / "cpp-reference").glob("*.md"))
    assert sorted(re.findall(r"^```\{cppheader\} (\S+)$", text, re.M)) == cppheaders.topics()


def test_every_page_of_the_cpp_reference_is_in_its_contents() -> None:
    contents = (DOCS / "cpp-reference" / "index.md").read_text().splitlines()
    pages = [page.stem for page in (DOCS / "cpp-reference").glob("*.md") if page.stem != "index"]
    assert [page for page in pages if contents.count(page) != 1] == []


def undescribed(entities: List[cppheaders.Entity], known: Set[str], owner: str = "") -> List[str]:
    """Return functions without a description or a description of their result, and types without
    one.

    A constructor need not repeat what its class says, nor an overload or an override what the
    function of the same name above it says.
    """
    found: List[str] = []
    for entity in entities:
        if cppheaders.OF_THE_LIBRARY.search(entity.text.split(" : ")[0]):
            continue
        words = " ".join(line for line in cppheaders.prose(entity.comment) if "*C func" not in line)
        if entity.kind == "function":
            name = re.search(r"(operator\S+|~?\w+)\(", entity.text)
            assert name, entity.text
            called = name.group(1)
            made = called.strip("~") == owner
            before = entity.text[: name.start()]
            returns = made or owner in re.findall(r"\w+", before) or before.endswith("void ")
            if words and (returns or re.search(r"\b(Returns?|As |Ends?)\b", words)):
                known.add(called)
            elif called not in known and not made:
                found.append(f"{owner}: {entity.text}")
        elif entity.kind in ("class", "struct", "namespace", "transparent"):
            own = re.search(r"(?:class|struct) (\w+)", entity.text)
            if own and not words:
                found.append(entity.text)
            found += undescribed(entity.children, known, own.group(1) if own else owner)
    return found


@pytest.mark.parametrize("topic", cppheaders.topics())
def test_each_cpp_function_says_what_it_does_and_returns(topic: str) -> None:
    assert undescribed(cppheaders.read(topic), set()) == []


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("// Returns it.\nint f();", []),
        ("// Asks for it.\nint f();", [": int f()"]),
        ("// Implements: rbd_read\nvoid f();", [": void f()"]),
        ("// Does it.\nvoid f();\nvoid f(int);", []),
        ("struct S {\n};", ["struct S"]),
        ("// One.\nclass C {\npublic:\n    C();\n    int f();\n};", ["C: int f()"]),
    ],
)
def test_an_undocumented_cpp_function_is_found(code: str, found: List[str]) -> None:
    assert undescribed(cppheaders.Reader(code).scope(True), set()) == found


HEADER = """\
// What the header is for.
#pragma once

namespace rbdxx::topic {

// Reads `length` bytes_ into data.
// Implements: rbd_read, rbd_snap_exists
uint64_t read(const Image& image, char* data, uint64_t length, Options options = {1, "a;b"});

class Thing final : public Base {
public:
    explicit Thing(int number) : number_(number) { use({number}); }
    Thing(const Thing&) = delete;
    int number() const noexcept override { return number_; }  // of the thing
    std::string name = "x";
    enum class Kind { good, bad };

private:
    int number_;
};

struct Gone;
}  // namespace rbdxx::topic
"""


def test_a_header_is_converted_to_markup() -> None:
    lines = cppheaders.rendered(cppheaders.Reader(HEADER).scope(True), "")
    assert [line for line in lines if line] == [
        ".. cpp:namespace:: rbdxx::topic",
        ".. cpp:function:: uint64_t read(const Image& image, char* data, uint64_t length, "
        'Options options = {1, "a;b"})',
        r"   Reads ``length`` bytes\_ into data.",
        "   *C function:* ``rbd_read``, ``rbd_snap_exists`` :release:`Ceph 16`",
        ".. cpp:class:: Thing : public Base",
        "   .. cpp:function:: explicit Thing(int number)",
        "   .. cpp:function:: int number() const noexcept",
        "      of the thing",
        '   .. cpp:member:: std::string name = "x"',
        "   .. cpp:enum-class:: Kind",
        "      .. cpp:enumerator:: good",
        "      .. cpp:enumerator:: bad",
        ".. cpp:namespace:: NULL",
    ]
    assert cppheaders.introduction(HEADER) == ["What the header is for.", ""]


def test_stars_of_parameters_are_escaped() -> None:
    text = "Do it.\n\nParameters\n----------\n**options\n    Others."
    assert r":param \*\*options: Others." in docstrings.rewritten(text.splitlines())
