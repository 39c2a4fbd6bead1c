"""The cluster's log."""

from __future__ import annotations

import gc
import json
import sys
import time
import weakref
from typing import Any, List, Tuple

import pytest

from rbd import rados
from support import isolated
from support.heard import Heard


class Listener(Heard):
    def said(self, text: str) -> List[Tuple[Any, ...]]:
        """The calls whose last argument is just that."""
        return [call for call in self.calls if call[-1] == text.encode()]


def say(cluster: rados.Rados, text: str) -> None:
    command = json.dumps({"prefix": "log", "logtext": [text]})
    assert cluster.mon_command(command, b"")[0] == 0


def hear(cluster: rados.Rados, listener: Listener, text: str) -> Tuple[Any, ...]:
    """Say it until it is heard: a listener that is new misses what was said just before."""
    end = time.monotonic() + 60
    while not listener.said(text):
        assert time.monotonic() < end
        say(cluster, text)
        time.sleep(0.2)
    return listener.said(text)[0]


def test_the_plain_listener_gets_its_arguments(rbd_cluster: Any) -> None:
    with rbd_cluster.connect() as cluster:
        listener = Listener()
        cluster.monitor_log("info", listener, "argument")
        assert cluster.monitor_callback == (listener, "argument")
        assert cluster.monitor_callback2 is None
        call = hear(cluster, listener, "plain words")
        argument, line, who, seconds, nanoseconds, sequence, level, message = call
        assert argument == "argument"
        assert line.endswith(b"plain words")
        assert who.startswith(b"client.")
        assert abs(seconds - time.time()) < 3600
        assert 0 <= nanoseconds < 10**9
        assert isinstance(sequence, int)
        assert (level, message) == (b"[INF]", b"plain words")
        assert set(listener.threads) == {"rbd-callbacks"}


def test_the_full_listener_gets_its_arguments(rbd_cluster: Any) -> None:
    with rbd_cluster.connect() as cluster:
        listener = Listener()
        cluster.monitor_log2("info", listener)
        assert cluster.monitor_callback2 == (listener, None)
        assert cluster.monitor_callback is None
        call = hear(cluster, listener, "full words")
        argument, line, channel, name, who, *numbers, level, message = call
        assert argument is None
        assert line.endswith(b"full words")
        assert (channel, name) == (b"cluster", b"client.admin")
        assert who.startswith(b"client.")
        assert [type(number) for number in numbers] == [int, int, int]
        assert (level, message) == (b"[INF]", b"full words")


def test_another_listener_replaces_the_first(rbd_cluster: Any) -> None:
    with rbd_cluster.connect() as cluster:
        first, second, third = Listener(), Listener(), Listener()
        cluster.monitor_log("info", first)
        hear(cluster, first, "for the first")
        cluster.monitor_log2("info", second)
        hear(cluster, second, "for the second")
        assert not first.said("for the second")
        cluster.monitor_log("info")
        assert cluster.monitor_callback is cluster.monitor_callback2 is None
        with rbd_cluster.connect() as other:
            other.monitor_log("info", third)
            hear(other, third, "for the third")
        assert not first.said("for the third")
        assert not second.said("for the third")


def test_only_entries_of_the_level_are_reported(rbd_cluster: Any) -> None:
    with rbd_cluster.connect() as cluster, rbd_cluster.connect() as other:
        high, low = Listener(), Listener()
        cluster.monitor_log("error", high)
        other.monitor_log("info", low)
        hear(other, low, "not for high levels")
        assert not high.said("not for high levels")


def test_an_exception_of_a_listener_is_reported(
    rbd_cluster: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    raised: List[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda what: raised.append(what.exc_value))
    with rbd_cluster.connect() as cluster:
        listener = Listener(ZeroDivisionError())
        cluster.monitor_log("info", listener)
        hear(cluster, listener, "one")
        hear(cluster, listener, "two")
    assert {type(error) for error in raised} == {ZeroDivisionError}


def test_the_stock_class_still_works(rbd_cluster: Any) -> None:
    with rbd_cluster.connect() as cluster:
        listener = Listener()
        log = rados.MonitorLog(cluster, "info", listener, 7)
        assert (log.cluster, log.level, log.callback, log.arg) == (cluster, "info", listener, 7)
        del log
        assert hear(cluster, listener, "old ways")[0] == 7
        with pytest.raises(rados.LogicError, match="invalid monitor level loud"):
            rados.MonitorLog(cluster, "loud", listener, None)


def test_a_listener_ends_with_its_connection(rbd_cluster: Any, rbd_ioctx: Any) -> None:
    cluster = rbd_cluster.connect()
    kept = cluster.open_ioctx(rbd_ioctx.get_pool_name())
    gone, other = Listener(), Listener()
    cluster.monitor_log("info", gone)
    hear(cluster, gone, "before")
    cluster.shutdown()
    with rbd_cluster.connect() as second:
        second.monitor_log("info", other)
        hear(second, other, "after")
    assert not gone.said("after")
    with pytest.raises(rados.RadosStateError):
        cluster.monitor_log("info", gone)
    kept.close()


def test_cycles_are_collected(rbd_cluster: Any) -> None:
    class Owner:
        def __init__(self) -> None:
            self.cluster = rbd_cluster.connect()
            self.cluster.monitor_log("info", self.heard, self)

        def heard(self, *_: Any) -> None:
            pass

    owner = Owner()
    gone = weakref.ref(owner)
    del owner
    gc.collect()
    assert gone() is None


def leave_listening(conffile: str) -> None:
    cluster = rados.Rados(conffile=conffile)
    cluster.connect()
    listener = Listener()
    cluster.monitor_log("debug", listener)
    hear(cluster, listener, "the last")
    globals()["kept"] = cluster


def test_the_interpreter_exits_while_listening(rbd_cluster: Any) -> None:
    isolated.run(leave_listening, str(rbd_cluster.conffile))


def test_wrong_arguments_are_refused(rbd_cluster: Any) -> None:
    with rbd_cluster.connect() as cluster:
        for listen in (cluster.monitor_log, cluster.monitor_log2):
            with pytest.raises(rados.LogicError, match="invalid monitor level loud"):
                listen("loud", print)
            with pytest.raises(rados.LogicError, match="callback must be a callable function or"):
                listen("info", 5)
            for bad in (None, 5, ["info"]):
                with pytest.raises(TypeError):
                    listen(bad, print)
            with pytest.raises(ValueError, match="NUL"):
                listen("info\0", print)
        assert cluster.monitor_callback is None
    client = rados.Rados(conffile=rbd_cluster.conffile)
    with pytest.raises(rados.RadosStateError, match="configuring"):
        client.monitor_log("info", print)
