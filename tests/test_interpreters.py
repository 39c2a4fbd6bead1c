"""Several interpreters in one process, as in Ceph's manager. Each imports and uses the module."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

from support.location import Where

# Python has no public way to make interpreters before 3.14, and its private ways change.
HARNESS = textwrap.dedent(
    """
    import os, sys, warnings
    warnings.simplefilter("ignore")
    if sys.version_info >= (3, 13):
        import _interpreters as interpreters
        shared, isolated = "legacy", "isolated"
        def execute(one, code):
            failed = interpreters.exec(one, code)
            if failed is not None:
                raise RuntimeError(failed.formatted)
    else:
        import _xxsubinterpreters as interpreters
        shared, isolated = False, True
        execute = interpreters.run_string
    def create(kind):
        return interpreters.create(kind) if kind in ("legacy", "isolated") else (
            interpreters.create(isolated=kind))
    kind, also_main, *codes = sys.argv[1:]
    if also_main == "first":
        exec(codes[0])
    made = [create(shared if kind == "shared" else isolated) for _ in range(2)]
    for code in codes:
        for one in made:
            execute(one, code)
    if also_main == "last":
        exec(codes[0])
    print("done", flush=True)
    # These ways to make interpreters cannot end one that has its own thread.
    os._exit(0)
    """
)

BEGIN = """
import rbd
conffile, pool, namespace, name = {where!r}
with rbd.connect(conffile) as cluster, cluster.open_ioctx(pool) as ioctx:
    ioctx.set_namespace(namespace)
"""

SYNCHRONOUS = (
    BEGIN
    + """
    assert name in rbd.RBD().list(ioctx)
    try:
        rbd.Image(ioctx, "missing")
    except rbd.ImageNotFound as error:
        assert error.errno == 2
    else:
        raise AssertionError("opened an image that is not there")
    with rbd.Image(ioctx, name) as image:
        image.write(b"B" * 512, 512)
        assert image.read(0, 4096) == b"A" * 512 + b"B" * 512 + b"A" * 3072
        assert [snap["name"] for snap in image.list_snaps()] == ["snap"]
        assert image.write_blocks(b"B" * 512, [512]) == 512
        image.resize(image.size(), on_progress=lambda *progress: None)
    try:
        image.size()
    except rbd.InvalidArgument as error:
        assert error.errno is None
    else:
        raise AssertionError("used a closed image")
"""
)

ASYNCHRONOUS = (
    BEGIN
    + """
    with rbd.Image(ioctx, name) as image:
        got = []
        done = image.aio_read(512, 512, lambda completion, data: got.append(data))
        done.wait_for_complete_and_cb()
        assert got == [b"B" * 512]
        # A callback that closes what it was called for.
        done = image.aio_flush(lambda completion: image.close())
        done.wait_for_complete_and_cb()
"""
)


def run(*codes: str, kind: str = "shared", main: str = "no") -> None:
    done = subprocess.run(
        [sys.executable, "-c", HARNESS, kind, main, *codes],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout.strip()) == (0, "done"), done.stdout + done.stderr


@pytest.mark.parametrize("main", ["no", "first", "last"])
def test_interpreters_that_share_the_gil_use_the_module(where: Where, main: str) -> None:
    codes = (SYNCHRONOUS, SYNCHRONOUS, ASYNCHRONOUS)
    run(*(code.format(where=where) for code in codes), main=main)


# Before, all interpreters share the lock.
if sys.version_info >= (3, 12):

    def test_an_interpreter_with_its_own_gil_is_refused() -> None:
        refused = textwrap.dedent(
            """
            try:
                import rbd._core
            except ImportError as error:
                assert "interpreter" in str(error), error
            else:
                raise AssertionError("imported")
            """
        )
        run(refused, kind="isolated")
