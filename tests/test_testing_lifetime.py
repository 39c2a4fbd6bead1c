"""rbd.testing: nothing outlives its owner, however that ends; and the command line."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rbd.testing import ClusterError, LocalCluster
from support.daemons import PATIENCE, eventually, gone, processes

MAIN = [sys.executable, "-m", "rbd.testing"]


class Owner:
    """A Python process that makes a cluster, prints its directory, and then does `action`."""

    def __init__(self, action: str, make: str = "cluster = rbd.testing.LocalCluster()") -> None:
        script = "\n".join(
            [
                "import os, signal, sys, threading, time",
                "import rbd.testing",
                make,
                "print(cluster.directory, flush=True)",
                action,
            ]
        )
        self.process = subprocess.Popen(
            [sys.executable, "-c", script],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        self.directory = Path(self.process.stdout.readline().strip())
        if not self.directory.is_absolute():
            _, errors = self.process.communicate(timeout=PATIENCE)
            pytest.fail(errors)

    def __enter__(self) -> Owner:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate(timeout=PATIENCE)

    def wait(self) -> int:
        return self.process.wait(PATIENCE)


FOREVER = "time.sleep(1000)"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_a_signal_to_the_owner_ends_the_cluster(number: signal.Signals) -> None:
    with Owner(FOREVER) as owner:
        # mon, osd and their supervisor, which also names the directory
        assert len(processes(owner.directory)) == 3
        owner.process.send_signal(number)
        assert owner.wait() == -number
        assert eventually(lambda: gone(owner.directory))


def test_a_signal_during_the_start_ends_the_cluster(tmp_path: Path) -> None:
    script = f"import rbd.testing; rbd.testing.LocalCluster({str(tmp_path)!r})"
    for number in (signal.SIGINT, signal.SIGKILL):
        process = subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.DEVNULL)
        assert eventually((tmp_path / "mon.a").exists)
        process.send_signal(number)
        assert process.wait(PATIENCE) == -number
        assert eventually(lambda: not processes(tmp_path))
        for path in sorted(tmp_path.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()


@pytest.mark.parametrize(
    ("action", "status"),
    [("", 0), ("raise SystemExit(4)", 4), ("1 / 0", 1), ("os._exit(5)", 5)],
    ids=["end", "exit", "exception", "_exit"],
)
def test_an_owner_that_exits_ends_the_cluster(action: str, status: int) -> None:
    with Owner(action) as owner:
        assert owner.wait() == status
        assert eventually(lambda: gone(owner.directory))


def test_an_exception_in_the_block_ends_the_cluster() -> None:
    with pytest.raises(ZeroDivisionError), LocalCluster() as cluster:
        raise ZeroDivisionError
    assert gone(cluster.directory)


def test_a_cluster_outlives_the_thread_that_made_it() -> None:
    make = """
def run():
    global cluster
    cluster = rbd.testing.LocalCluster()
thread = threading.Thread(target=run)
thread.start()
thread.join()
"""
    with Owner("print(cluster.rbd('ls') == '', flush=True); " + FOREVER, make) as owner:
        assert owner.process.stdout is not None
        assert owner.process.stdout.readline() == "True\n"


def test_a_fork_neither_ends_nor_keeps_the_cluster() -> None:
    action = """
child = os.fork()
if child == 0:
    try:
        cluster.kill_osd(0)
    except rbd.testing.ClusterError:
        cluster.stop()
        sys.exit(7)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
assert cluster.rbd("ls") == ""
child = os.fork()
if child == 0:
    os.close(1), os.close(2)
    time.sleep(1000)
print(child, flush=True)
time.sleep(1000)
"""
    with Owner(action) as owner:
        assert owner.process.stdout is not None
        child = int(owner.process.stdout.readline())
        try:
            owner.process.kill()
            assert owner.wait() == -signal.SIGKILL
            assert eventually(lambda: gone(owner.directory))
        finally:
            os.kill(child, signal.SIGKILL)


def test_a_cluster_stops_beside_a_forked_child() -> None:
    cluster = LocalCluster()
    child = subprocess.Popen(["sleep", "1000"])
    fork = os.fork()
    if fork == 0:
        time.sleep(1000)
        os._exit(0)
    try:
        cluster.stop()
        assert gone(cluster.directory)
    finally:
        os.kill(fork, signal.SIGKILL)
        os.waitpid(fork, 0)
        child.kill()
        child.wait()


def test_killing_the_supervisor_ends_the_daemons() -> None:
    cluster = LocalCluster()
    (supervisor,) = processes(cluster.directory, "_supervisor.py")
    os.kill(supervisor, signal.SIGKILL)
    try:
        with pytest.raises(ClusterError, match="daemons are gone"):
            cluster.kill_osd(0)
        assert eventually(
            lambda: (
                not processes(cluster.directory, "ceph-mon")
                and not processes(cluster.directory, "ceph-osd")
            )
        )
    finally:
        cluster.stop()
    assert gone(cluster.directory)


# python -m rbd.testing


def run(*arguments: str, options: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*MAIN, *options, "--", *arguments], capture_output=True, text=True, timeout=PATIENCE * 2
    )


def test_main_runs_a_command_with_a_cluster() -> None:
    script = 'rbd create --size 1M "$0/x" && rbd ls "$0" && dirname "$CEPH_CONF" && exit 7'
    done = run("sh", "-c", script, "b", options=("--pool", "a", "--pool", "b", "--osds", "2"))
    assert done.returncode == 7, done.stderr
    image, directory = done.stdout.split()
    assert image == "x"
    assert gone(Path(directory))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGSEGV])
def test_main_ends_as_the_command_ended(number: signal.Signals) -> None:
    done = run("sh", "-c", f"echo $CEPH_CONF; kill -{int(number)} $$")
    assert done.returncode == -number
    assert gone(Path(done.stdout.strip()).parent)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1])
def test_main_passes_signals_on(number: signal.Signals) -> None:
    script = f"""
import os, signal, sys, time
def answer(*_):
    os.write(1, b"heard\\n")
    sys.exit(9)
signal.signal({int(number)}, answer)
print(os.environ["CEPH_CONF"], flush=True)
time.sleep(1000)
"""
    with subprocess.Popen(
        [*MAIN, "--", sys.executable, "-c", script], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        directory = Path(process.stdout.readline().strip()).parent
        process.send_signal(number)
        assert process.stdout.read() == "heard\n"
        assert process.wait(PATIENCE) == 9
    assert gone(directory)


def test_killing_main_ends_the_command() -> None:
    script = "import os, time; print(os.getpid(), os.environ['CEPH_CONF'], flush=True); " + FOREVER
    with subprocess.Popen(
        [*MAIN, "--", sys.executable, "-c", script], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        pid, conffile = process.stdout.readline().split()
        process.kill()
        process.wait(PATIENCE)
        # The pipe ends with the command.
        assert process.stdout.read() == ""
    assert not Path("/proc", pid, "fd", "1").exists()
    assert eventually(lambda: gone(Path(conffile).parent))


def test_main_leaves_no_python_settings_to_the_command() -> None:
    done = run("sh", "-c", "grep -E '^Sig(Ign|Blk)' /proc/self/status")
    values = {line.split()[0]: int(line.split()[1], 16) for line in done.stdout.splitlines()}
    assert values["SigBlk:"] == 0
    assert not values["SigIgn:"] & 1 << (signal.SIGPIPE - 1)


@pytest.mark.parametrize(
    ("command", "status", "text"),
    [
        (["--", "/nonexistent/command"], 127, "No such file"),
        (["--", "/etc/passwd"], 126, "Permission denied"),
        (["--osds", "0", "--", "true"], 2, "--osds"),
        (["--conf", "nonsense", "--", "true"], 2, "OPTION=VALUE"),
        (["--objectstore", "kstore", "--", "true"], 2, "objectstore"),
        ([], 2, "CMD"),
    ],
)
def test_main_refuses_wrong_arguments(command: list[str], status: int, text: str) -> None:
    done = subprocess.run([*MAIN, *command], capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == status
    assert text in done.stderr
    assert "Traceback" not in done.stderr


def test_main_without_daemons_says_what_to_install(tmp_path: Path) -> None:
    done = subprocess.run(
        [*MAIN, "--", "true"],
        capture_output=True,
        text=True,
        env={**os.environ, "PATH": str(tmp_path)},
        timeout=PATIENCE,
    )
    assert done.returncode == 1
    assert "ceph-mon was not found" in done.stderr
    assert "install" in done.stderr
    assert "Traceback" not in done.stderr
