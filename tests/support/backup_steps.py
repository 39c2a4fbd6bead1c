"""Run examples/backup.py and kill it at one step after the other, or look at its disk there.

    backup_steps.py kill|power CONFFILE POOL NAMESPACE IMAGE DIRECTORY

"kill" ends a run of `save` by SIGKILL before its first change of a file, a snapshot or an image,
another run before the second change, and so on until a run comes to its end. Then it does the same
with `merge` and `restore`. "power" makes complete runs. At each line it computes what the disk
would hold after a power cut: the state of files and directories at their last synchronization.

After each of these, the files that the chain lists must exist and be complete, and the image must
have the snapshot that the chain ends with.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import itertools
import json
import os
import signal
import stat
import sys
from pathlib import Path
from typing import Any, Callable, Dict, Iterator

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "examples"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import backup  # type: ignore[import-not-found]

import rbd
from rbd.spec import ImageSpec
from support.left_behind import forget_the_killed

KIND, CONFFILE, POOL, NAMESPACE, IMAGE = sys.argv[1:6]
DIRECTORY = Path(sys.argv[6])
SPEC = ImageSpec(pool=POOL, namespace=NAMESPACE, image=IMAGE, conffile=CONFFILE)
BACK = ImageSpec(pool=POOL, namespace=NAMESPACE, image=f"{IMAGE}-back", conffile=CONFFILE)


def at_each_line(what: Callable[[], None]) -> None:
    """Call a function before each line of the example that this thread runs."""

    def trace(frame: Any, event: str, argument: Any) -> Any:
        if frame.f_code.co_filename != backup.__file__:
            return None
        if event == "line":
            what()
        return trace

    sys.settrace(trace)


def before_each_step(what: Callable[[], None]) -> None:
    """Call a function before each change of a file, a directory, a snapshot or an image."""
    writes = os.O_WRONLY | os.O_RDWR | os.O_CREAT

    def hook(event: str, arguments: Any) -> None:
        if event in ("os.rename", "os.remove", "os.mkdir") or (
            event == "open" and isinstance(arguments[2], int) and arguments[2] & writes
        ):
            what()

    def preceded(call: Callable[..., Any]) -> Callable[..., Any]:
        def first(*arguments: Any, **options: Any) -> Any:
            what()
            return call(*arguments, **options)

        return first

    for owner, names in (
        (os, ("fsync",)),
        (rbd.Image, ("create_snap", "remove_snap", "resize")),
        (rbd.RBD, ("create", "remove", "rename")),
    ):
        for name in names:
            setattr(owner, name, preceded(getattr(owner, name)))
    sys.addaudithook(hook)


@contextlib.contextmanager
def pool() -> Iterator[Any]:
    with rbd.connect(CONFFILE) as cluster, cluster.open_ioctx(POOL) as ioctx:
        ioctx.set_namespace(NAMESPACE)
        yield cluster, ioctx


def check_chain(read: Callable[[str], bytes], image: rbd.Image) -> None:
    try:
        runs = json.loads(read(backup.LIST))
    except FileNotFoundError:
        return
    for run in runs:
        assert hashlib.sha256(read(run["file"])).hexdigest() == run["sha256"], run
    if runs:
        assert runs[-1]["snapshot"] in {entry["name"] for entry in image.list_snaps()}, runs


def in_a_child(work: Callable[[], None]) -> int:
    """Return the status of a process that does the work. This process never connects."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            work()
            status = 0
        except SystemExit as error:
            print(error.code, file=sys.stderr)
        except BaseException:
            sys.excepthook(*sys.exc_info())
        finally:
            sys.stdout.flush()
            os._exit(status)
    return os.waitpid(child, 0)[1]


def must(work: Callable[[], None]) -> None:
    status = in_a_child(work)
    assert status == 0, (work, status)


def look(number: int) -> None:
    """Check what must be true after each kill. The image is in use."""
    with pool() as (cluster, ioctx):
        for name in (IMAGE, f"{BACK.image}.restoring"):
            forget_the_killed(cluster, ioctx, name)
        with rbd.Image(ioctx, IMAGE) as image:
            check_chain(lambda name: (DIRECTORY / name).read_bytes(), image)
            image.write(os.urandom(1000), number * 4096)
        # A restore is complete, or has left nothing.
        assert BACK.image not in rbd.RBD().list(ioctx)


def kill_at_each_step(work: Callable[[], None]) -> int:
    """Return how often the work was killed before it came to its end."""
    for wanted in itertools.count(1):

        def killed(wanted: int = wanted) -> None:
            steps = itertools.count(1)

            def step() -> None:
                if next(steps) == wanted:
                    os.kill(os.getpid(), signal.SIGKILL)

            before_each_step(step)
            work()

        status = in_a_child(killed)
        if status == 0:
            return wanted - 1
        assert os.WIFSIGNALED(status), status
        assert os.WTERMSIG(status) == signal.SIGKILL, status
        must(functools.partial(look, wanted))
    raise AssertionError


def save() -> None:
    backup.save(SPEC, DIRECTORY, False)


def merge() -> None:
    backup.merge(DIRECTORY)


def restore() -> None:
    backup.restore(DIRECTORY, BACK, False)


def nothing_left() -> None:
    """Check that no file and no snapshot exists except those of the list."""
    runs = json.loads((DIRECTORY / backup.LIST).read_text())
    note = json.loads((DIRECTORY / backup.NOTE).read_text())
    assert note["files"] == [], note
    files = {backup.LIST, backup.NOTE, *(run["file"] for run in runs)}
    assert set(os.listdir(DIRECTORY)) == files, (os.listdir(DIRECTORY), files)
    with pool() as (_, ioctx), rbd.Image(ioctx, IMAGE) as image:
        left = [entry["name"] for entry in image.list_snaps()]
        assert left == [runs[-1]["snapshot"]], (left, runs)


def restored() -> None:
    """Check that the restored image equals what the last run has saved."""
    last = json.loads((DIRECTORY / backup.LIST).read_text())[-1]["snapshot"]
    with (
        pool() as (_, ioctx),
        rbd.Image(ioctx, IMAGE, snapshot=last) as saved,
        rbd.Image(ioctx, BACK.image) as image,
    ):
        assert saved.read(0, saved.size()) == image.read(0, image.size())
        names = rbd.RBD().list(ioctx)
        assert sorted(names) == sorted([IMAGE, BACK.image]), names
    with pool() as (_, ioctx):
        backup.remove_image(ioctx, BACK.image)


def kill() -> None:
    must(save)
    print("killed", kill_at_each_step(save), "saves")
    # The next run removes what the killed run could not.
    must(save)
    must(nothing_left)
    must(restore)
    must(restored)
    print("killed", kill_at_each_step(merge), "merges")
    must(save)
    must(nothing_left)
    print("killed", kill_at_each_step(restore), "restores")
    must(restored)


def power() -> None:
    files: Dict[int, bytes] = {}
    names: Dict[str, int] = {}
    fsync = os.fsync

    def noted(fd: int) -> None:
        fsync(fd)
        status = os.fstat(fd)
        path = Path(f"/proc/self/fd/{fd}")
        if stat.S_ISREG(status.st_mode):
            files[status.st_ino] = path.read_bytes()
        elif path.resolve() == DIRECTORY.resolve():
            names.clear()
            names.update((entry.name, entry.inode()) for entry in os.scandir(DIRECTORY))

    def read(name: str) -> bytes:
        if name not in names:
            raise FileNotFoundError(name)
        return files[names[name]]

    os.fsync = noted
    with pool() as (_, ioctx), rbd.Image(ioctx, IMAGE) as image:
        at_each_line(lambda: check_chain(read, image))
        for number in range(3):
            image.write(os.urandom(1000), number * 4096)
            image.flush()
            save()
        merge()
        save()
        sys.settrace(None)
        assert len(json.loads(read(backup.LIST))) == 2


if __name__ == "__main__":
    {"kill": kill, "power": power}[KIND]()
