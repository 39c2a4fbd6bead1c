"""Every path that moves data, on every kind of image: the content equals that of plain reads.

data_paths.py has a line for each path, image_kinds.py one for each kind of image. A combination
that cannot work has a line here, with its error. One process handles all cells in order; a new one
replaces it if a cell ends it.
"""

from __future__ import annotations

import contextlib
import faulthandler
import json
import re
import secrets
import signal
import subprocess
import sys
import traceback
import types
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Optional

import pytest

import rbd
from rbd.testing import Cluster
from support import isolated
from support.data_paths import PATHS, covers
from support.image_kinds import KINDS, PoolStage, Subject, compare

#: The time that a cell may take, in seconds.
HANG = 240
_ANSWER = "cell:"


class Cells(NamedTuple):
    """The cells of all kinds and all paths whose names match these patterns."""

    kinds: str
    paths: str
    #: The exception that they end with.
    error: str
    errno: Optional[int] = None
    #: A pattern of its message.
    text: str = ""
    #: A C function: the line counts only if the library lacks it.
    without: str = ""

    def cover(self, kind: str, path: str) -> bool:
        if self.without and rbd.supports(self.without):
            return False
        return bool(re.fullmatch(self.kinds, kind) and re.fullmatch(self.paths, path))


def first(cells: List[Cells], kind: str, path: str) -> Optional[Cells]:
    return next((one for one in cells if one.cover(kind, path)), None)


WRITES = "|".join(re.escape(name) for name, path in PATHS.items() if path.writes)
ENCRYPTED = "LUKS.|clone of encrypted"
CLONES = "clone.*"
MIGRATING = "live import|migrating"
SNAPSHOTS = "(user|trashed|group|mirror) snapshot"

#: The combinations that cannot work. The first line that covers a cell counts.
REFUSALS = [
    Cells("read-only", WRITES, "ReadOnlyImage", 30),
    Cells(f"(?!{CLONES}|{MIGRATING}).*", "flatten", "InvalidArgument", 22, "flattening"),
    Cells(SNAPSHOTS, WRITES, "ReadOnlyImage", 30),
    # Only the client that has the lock can do these.
    Cells("locked elsewhere", f"(?!file truncate|sparsify)({WRITES})", "ReadOnlyImage", 30),
    Cells("size 0", "flatten a clone", "InvalidArgument", 22, "cloning"),
    Cells("no features", "flatten a clone", "FunctionNotSupported", 38, "cloning"),
    Cells(MIGRATING, "deep_copy", "ImageBusy", 16),
    Cells("(trashed|group|mirror) snapshot", "deep_copy", "InvalidArgument", 22, "not a user's"),
    Cells(ENCRYPTED, "copy|copy_into|deep_copy", "OperationNotSupported", 95, "encryption is"),
    Cells("migrating", "rollback", "OperationNotSupported", 95, "in migration"),
    Cells(
        *("clone of encrypted", "flatten a clone", "OperationNotSupported", 95, "of a clone"),
        without="rbd_encryption_load2",
    ),
    Cells(
        *("clone of encrypted", "file truncate|import_diff", "OperationNotSupported", 95),
        text="data of the parent",
        without="rbd_encryption_load2",
    ),
    Cells(
        *(ENCRYPTED, "flatten|flatten a clone", "OperationNotSupported", 95, "encryption is"),
        without="rbd_encryption_load2",
    ),
]


# The process


def told(error: Exception) -> Dict[str, Any]:
    """Return an exception as JSON."""
    return {
        "error": type(error).__name__,
        "errno": getattr(error, "errno", None),
        "text": str(error),
    }


def outcome(subject: Subject, path: str) -> Dict[str, Any]:
    """Return the outcome of a path as JSON. A refused path must not change the image."""
    answer: Dict[str, Any] = {}
    steps: List[Callable[[], None]] = [lambda: PATHS[path].go(subject), subject.check]
    for step in steps:
        try:
            step()
        except Exception as error:
            answer = told(error)
            if isinstance(error, AssertionError):
                break
    if answer.get("error") == "AssertionError":
        subject.resume()
    return answer


def serve(*where: str) -> None:
    """Handle the cells that come as lines of JSON."""
    stage = PoolStage(*where)
    subjects: Dict[str, Subject] = {}
    for line in sys.stdin:
        kind, path = json.loads(line)
        faulthandler.dump_traceback_later(HANG, exit=True)
        try:
            if kind not in subjects:
                subjects[kind] = KINDS[kind].make(stage)
                subjects[kind].check()
        except Exception as error:
            traceback.print_exc()
            answer = told(error)
        else:
            answer = outcome(subjects[kind], path)
        faulthandler.cancel_dump_traceback_later()
        print(_ANSWER + json.dumps(answer), flush=True)


class Server:
    """The process that handles the cells. A new one replaces it if it has ended."""

    def __init__(self, *where: str) -> None:
        self._where = where
        self.process: Optional[subprocess.Popen[str]] = None

    def ask(self, kind: str, path: str) -> Dict[str, Any]:
        if self.process is None:
            self.process = isolated.start(
                serve, *self._where, watched=False, development=False, stdin=subprocess.PIPE
            )
        process = self.process
        assert process.stdin is not None
        assert process.stdout is not None
        # The end of the process is noticed below.
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(json.dumps([kind, path]) + "\n")
            process.stdin.flush()
        output = []
        for line in process.stdout:
            if line.startswith(_ANSWER):
                answer: Dict[str, Any] = json.loads(line[len(_ANSWER) :])
                return answer
            output.append(line)
        self.process = None
        with contextlib.suppress(BrokenPipeError), process:
            pass
        status = process.returncode
        how = signal.Signals(-status).name if status < 0 else f"status {status}"
        text = "".join(output)[-4000:]
        return {"error": "end of the process", "errno": None, "text": f"{how}\n{text}"}

    def close(self) -> None:
        if self.process is not None:
            # Its images are open, but nobody needs them any more.
            self.process.kill()
            self.process.communicate()


@pytest.fixture(scope="module")
def server(
    rbd_cluster: Cluster, second_pool: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """Provide a process with a separate pool, which is removed with its content."""
    pool = f"paths-{secrets.token_hex(4)}"
    directory = tmp_path_factory.mktemp("paths")
    with rbd_cluster.connect() as cluster:
        cluster.create_pool(pool)
        with cluster.open_ioctx(pool) as ioctx:
            rbd.RBD().pool_init(ioctx, True)
        found = Server(str(rbd_cluster.conffile), pool, second_pool, str(directory))
        yield found
        found.close()
        cluster.delete_pool(pool)


def _cells() -> Iterator[Any]:
    for kind, image in KINDS.items():
        for path, way in PATHS.items():
            mark = pytest.mark.needs(*image.needs, *way.needs)
            yield pytest.param(kind, path, marks=mark, id=f"{kind}-{path}")


@pytest.mark.timeout(2 * HANG)
@pytest.mark.parametrize(("kind", "path"), list(_cells()))
def test_each_path_works_on_each_kind_of_image(server: Server, kind: str, path: str) -> None:
    if "array" in path:
        pytest.importorskip("numpy")
    found = server.ask(kind, path)
    ends = "{error}, errno {errno}: {text}".format(**found) if found else "no error"
    expected = first(REFUSALS, kind, path)
    if expected is None:
        assert not found, ends
    else:
        assert found, f"{expected.error} was to be raised"
        assert (found["error"], found["errno"]) == (expected.error, expected.errno), ends
        assert re.search(expected.text, found["text"]), ends


def test_each_line_covers_a_cell() -> None:
    cells = [(kind, path) for kind in KINDS for path in PATHS]
    for line in REFUSALS:
        if line.without and rbd.supports(line.without):
            continue
        assert any(line.cover(*cell) for cell in cells), line


def test_a_cell_that_ends_the_process_fails(server: Server) -> None:
    """A cell that ends the process fails with the signal. The next cell gets a new process."""
    assert server.ask("plain", "read_blocks") == {}
    assert server.process is not None
    server.process.kill()
    found = server.ask("plain", "read_blocks")
    assert (found["error"], found["text"].split()) == ("end of the process", ["SIGKILL"])
    assert server.ask("plain", "read_blocks") == {}


def test_differences_are_reported() -> None:
    content = bytes(1024) + b"new" + bytes(1021)
    with pytest.raises(AssertionError, match=r"1 sectors .* differ, 0 of them .*: \[2\]"):
        compare(content, bytes(2048), "it")
    with pytest.raises(AssertionError, match="2048 bytes and should have 2047"):
        compare(content, content[:-1], "it")
    subject: Any = types.SimpleNamespace(content=content)
    covers(subject, b"", [(1024, 3, True)])
    covers(subject, b"o" * 1024, [(0, 1024, False), (1024, 3, True)])
    for start, extents in (
        (b"", [(1024, 2, True)]),
        (b"", [(1024, 3, False)]),
        (b"o" * 1024, [(1024, 3, True)]),
        (content[:-1] + b"o", []),
    ):
        with pytest.raises(AssertionError):
            covers(subject, start, extents)
