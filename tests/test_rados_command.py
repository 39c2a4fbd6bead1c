"""Commands to the daemons."""

from __future__ import annotations

import errno
import json
import os
import signal
import threading
import time
from typing import Any, Callable, Iterator

import pytest

from rbd import rados
from support import isolated


@pytest.fixture
def cluster(rbd_cluster: Any) -> Iterator[rados.Rados]:
    with rbd_cluster.connect() as connected:
        yield connected


def command(prefix: str, **arguments: Any) -> str:
    return json.dumps({"prefix": prefix, "format": "json", **arguments})


def test_mon_command_returns_the_answer(cluster: rados.Rados) -> None:
    code, output, status = cluster.mon_command(
        json.dumps({"prefix": "osd ls", "format": "json"}), b""
    )
    assert code == 0
    assert 0 in json.loads(output)
    assert isinstance(status, str)
    code, _, status = cluster.mon_command(json.dumps({"prefix": "no such thing"}), b"")
    assert code == -22
    assert status


def test_a_command_goes_to_one_monitor(cluster: rados.Rados) -> None:
    code, output, _ = cluster.mon_command(command("mon_status"), b"", target="a")
    assert code == 0
    assert json.loads(output)["name"] == "a"
    for nobody in ("nobody", 7):
        assert cluster.mon_command(command("mon_status"), b"", 0, nobody)[:2] == (-2, b"")


def test_a_command_takes_input(cluster: rados.Rados) -> None:
    key = command("config-key set", key="rados/command")
    try:
        for value in (b"one", bytearray(b"two"), memoryview(b"three")):
            assert cluster.mon_command(key, value)[0] == 0
            read = cluster.mon_command(command("config-key get", key="rados/command"))
            assert read[1] == bytes(value)
    finally:
        cluster.mon_command(command("config-key rm", key="rados/command"))


def test_osd_command_returns_the_answer(cluster: rados.Rados) -> None:
    code, output, status = cluster.osd_command(0, command("version"), b"")
    assert (code, status) == (0, "")
    assert json.loads(output)["version"]
    assert cluster.osd_command(99, command("version"), b"")[0] == -errno.ENOENT
    assert cluster.osd_command(-1, command("version"), b"")[0] == -errno.EINVAL
    assert cluster.osd_command(0, command("no such thing"), b"")[0] == -errno.EINVAL


def test_pg_command_returns_the_answer(cluster: rados.Rados, rbd_ioctx: Any) -> None:
    pgid = f"{rbd_ioctx.get_pool_id()}.0"
    code, output, _ = cluster.pg_command(pgid, command("query", pgid=pgid, cmd="query"), b"")
    assert code == 0
    assert json.loads(output)["info"]["pgid"] == pgid
    assert cluster.pg_command("99999.0", command("query"), b"")[0] == -errno.ENOENT


def test_a_malformed_pg_is_an_error(cluster: rados.Rados) -> None:
    # librados then leaves its answer unset, which the stock module frees nevertheless.
    assert cluster.pg_command("nonsense", command("query"), b"") == (-errno.EINVAL, b"", "")


def test_a_command_without_an_answer_times_out(rbd_cluster: Any) -> None:
    # The one-machine cluster has no manager, for which librados waits without a limit.
    with rbd_cluster.connect() as cluster:
        begin = time.monotonic()
        code, output, status = cluster.mgr_command(command("pg dump"), b"", timeout=0.3)
        assert (code, output) == (-errno.ETIMEDOUT, b"")
        assert status == "the daemon did not answer in time"
        assert time.monotonic() - begin >= 0.3
        # The abandoned command keeps the connection, but does not delay the program.
        assert cluster.mon_command(command("osd ls"), b"", timeout=60)[0] == 0


def abandon_and_leave(conffile: str) -> None:
    for end in (rados.Rados.shutdown, lambda client: None):
        client = rados.Rados(conffile=conffile)
        client.connect()
        assert client.mgr_command(command("pg dump"), b"", timeout=0.1)[0] == -errno.ETIMEDOUT
        end(client)
        del client


def test_an_abandoned_command_does_not_delay_the_exit(rbd_cluster: Any) -> None:
    isolated.run(abandon_and_leave, str(rbd_cluster.conffile))


@pytest.mark.parametrize("timeout", [0, 600])
def test_a_signal_ends_the_wait(timeout: float, rbd_cluster: Any) -> None:
    class Alarm(Exception):
        pass

    def ring(*_: object) -> None:
        raise Alarm

    with rbd_cluster.connect() as cluster:
        before = signal.signal(signal.SIGUSR1, ring)
        timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGUSR1))
        timer.start()
        try:
            with pytest.raises(Alarm):
                cluster.mgr_command(command("pg dump"), b"", timeout=timeout)
        finally:
            timer.join()
            signal.signal(signal.SIGUSR1, before)


def calls(cluster: rados.Rados) -> Iterator[Callable[..., Any]]:
    yield cluster.mon_command
    yield cluster.mgr_command
    yield lambda *arguments, **named: cluster.osd_command(0, *arguments, **named)
    yield lambda *arguments, **named: cluster.pg_command("1.0", *arguments, **named)


def test_wrong_arguments_are_refused(cluster: rados.Rados) -> None:
    for call in calls(cluster):
        for bad in (None, 5, [command("osd ls")]):
            with pytest.raises(TypeError):
                call(bad, b"")
        with pytest.raises(ValueError, match="NUL"):
            call("{}\0", b"")
        for bad in ("text", None, 5):
            with pytest.raises(TypeError):
                call("{}", bad)
        with pytest.raises(TypeError):
            call("{}", b"", timeout="1")
        for bad in (-1, float("nan")):
            with pytest.raises(ValueError, match="timeout must be at least 0 seconds"):
                call("{}", b"", timeout=bad)
    with pytest.raises(TypeError):
        cluster.osd_command("0", "{}", b"")
    with pytest.raises(OverflowError):
        cluster.osd_command(2**31, "{}", b"")
    with pytest.raises(TypeError):
        cluster.pg_command(1.0, "{}", b"")
    with pytest.raises(TypeError):
        cluster.mon_command("{}", b"", target=1.5)


def test_a_timeout_may_mean_no_limit(cluster: rados.Rados) -> None:
    for none in (0, None, 0.0, float("inf"), 1e30):
        assert cluster.mon_command("not json", b"", timeout=none)[0] == -errno.EINVAL


def test_an_unconnected_client_is_refused(rbd_cluster: Any) -> None:
    client = rados.Rados(conffile=rbd_cluster.conffile)
    for state in ("configuring", "shutdown"):
        for call in calls(client):
            with pytest.raises(rados.RadosStateError, match=state):
                call(command("osd ls"), b"")
            with pytest.raises(rados.RadosStateError, match=state):
                call(command("osd ls"), b"", timeout=1)
        client.shutdown()
