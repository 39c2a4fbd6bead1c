"""Connections under the stock module's names."""

from __future__ import annotations

import json
import pathlib
import pickle
import signal
import time
from typing import Any, Iterator

import pytest

import rbd
from rbd import rados
from support import isolated


@pytest.fixture
def cluster(rbd_cluster: Any) -> Iterator[rados.Rados]:
    with rbd_cluster.connect() as connected:
        yield connected


def test_a_client_changes_its_state(rbd_cluster: Any) -> None:
    client = rados.Rados(conffile=rbd_cluster.conffile)
    assert client.state == "configuring"
    with pytest.raises(rados.RadosStateError, match="configuring"):
        client.get_fsid()
    client.connect()
    assert client.state == "connected"
    with pytest.raises(rados.RadosStateError):
        client.connect()
    client.shutdown()
    client.shutdown()
    assert client.state == "shutdown"
    with pytest.raises(rados.RadosStateError):
        client.list_pools()


def test_arguments_may_be_positional(rbd_cluster: Any) -> None:
    client = rados.Rados("admin", None, "ceph", {"keyring": "/k"}, rbd_cluster.conffile, {}, 0)
    assert client.rados_id == "admin"
    assert client.conf_defaults == {"keyring": "/k"}
    assert client.conffile == rbd_cluster.conffile
    assert rados.Rados().rados_id is None
    with pytest.raises(rados.Error, match="both"):
        rados.Rados("admin", "client.admin")


def test_options_are_read_and_set(rbd_cluster: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    client = rados.Rados(
        name="client.admin",
        conffile=rbd_cluster.conffile,
        conf={"rbd_default_order": "21"},
        conf_defaults={"rbd_default_order": "20"},
    )
    assert client.conf_get("rbd_default_order") == "21"
    client.conf_set("rbd_default_order", "19")
    assert client.conf_get("rbd_default_order") == "19"
    assert client.conf_get("no_such_option") is None
    with pytest.raises(rados.ObjectNotFound):
        client.conf_set("no_such_option", "1")
    assert client.conf_parse_argv(["--rbd_default_features", "1", "--other"]) == ["--other"]
    assert client.parsed_args == ["--rbd_default_features", "1", "--other"]
    assert client.conf_get("rbd_default_features") == "1"
    monkeypatch.setenv("SOME_ARGS", "--rbd_default_stripe_count 2")
    client.conf_parse_env("SOME_ARGS")
    assert client.conf_get("rbd_default_stripe_count") == "2"
    client.shutdown()


def test_conffile_selects_the_configuration_file(
    rbd_cluster: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CEPH_CONF", str(rbd_cluster.conffile))
    for none in (rados.Rados.NO_CONF_FILE, None):
        assert not rados.Rados(conffile=none).conf_get("mon_host")
    for default in (rados.Rados.DEFAULT_CONF_FILES, ""):
        assert rados.Rados(conffile=default).conf_get("mon_host")
    with pytest.raises(ValueError, match="-3"):
        rados.Rados(conffile=-3)
    with pytest.raises(TypeError):
        rados.Rados(conffile=object())


def test_a_class_may_derive_from_rados(rbd_cluster: Any) -> None:
    class Mine(rados.Rados):
        pass

    with Mine(conffile=rbd_cluster.conffile) as client:
        client.note = "kept"
        assert client.note == "kept"
        assert len(client.get_fsid()) == 36


def test_a_missing_configuration_file_is_an_error(tmp_path: pathlib.Path) -> None:
    with pytest.raises(rados.ObjectNotFound) as caught:
        rados.Rados(conffile=tmp_path / "none.conf")
    assert caught.value.errno == 2
    with pytest.raises(FileNotFoundError):
        rbd.connect(tmp_path / "none.conf")


def test_an_error_does_not_contain_the_value(rbd_cluster: Any) -> None:
    client = rados.Rados(conffile=rbd_cluster.conffile)
    with pytest.raises(rados.Error) as caught:
        client.conf_set("rbd_default_order", "sekrit")
    assert "sekrit" not in str(caught.value)


def test_connect_uses_ceph_conf(rbd_cluster: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CEPH_CONF", str(rbd_cluster.conffile))
    with rbd.connect() as client:
        assert client.state == "connected"
        fsid = client.get_fsid()
    assert len(fsid) == 36
    with rbd.connect(name="client.admin", conf={"rbd_default_order": "21"}) as client:
        assert client.conf_get("rbd_default_order") == "21"


def test_connect_ends_after_its_timeout(rbd_cluster: Any) -> None:
    start = time.monotonic()
    with pytest.raises(TimeoutError) as caught:
        # Nothing answers at this port.
        rbd.connect(rbd_cluster.conffile, conf={"mon_host": "v1:127.0.0.1:9"}, timeout=1)
    assert isinstance(caught.value, rados.TimedOut)
    assert time.monotonic() - start < 30


def test_connect_with_a_bad_key_is_refused(rbd_cluster: Any, tmp_path: pathlib.Path) -> None:
    keyring = tmp_path / "keyring"
    keyring.write_text("[client.admin]\n\tkey = AQAAAAAAAAAAABAAAAAAAAAAAAAAAAAAAAAAAA==\n")
    with pytest.raises(rbd.Error):
        rbd.connect(rbd_cluster.conffile, conf={"keyring": str(keyring)}, timeout=5)


def test_the_cluster_answers_simple_calls(cluster: rados.Rados) -> None:
    assert cluster.get_instance_id() > 0
    assert "127.0.0.1" in cluster.get_addrs()
    assert cluster.wait_for_latest_osdmap() == 0
    version = cluster.version()
    assert version.major >= 2
    assert str(version) == f"{version.major}.{version.minor}.{version.extra}"
    with pytest.raises(rados.ObjectNotFound, match="'nobody'"):
        cluster.ping_monitor("nobody")


def ping(conffile: str) -> str:
    with rados.Rados(conffile=conffile) as client:
        return str(client.ping_monitor("a"))


def test_a_monitor_answers_a_ping(rbd_cluster: Any) -> None:
    # On a busy machine, librados answers the monitor before it has its connection, and crashes.
    for _ in range(30):
        outcome = isolated.finish(isolated.start(ping, str(rbd_cluster.conffile)))
        if outcome.status != -signal.SIGSEGV:
            break
    assert outcome.status == 0, str(outcome)
    assert "health" in json.loads(outcome.answer)


def test_a_blocklisted_client_is_refused(rbd_cluster: Any, cluster: rados.Rados) -> None:
    victim = rbd_cluster.connect()
    ioctx = victim.open_ioctx(rbd_cluster.pools[0])
    rbd.RBD().list(ioctx)
    cluster.blocklist_add(victim.get_addrs(), 60)
    victim.wait_for_latest_osdmap()
    with pytest.raises(rbd.ConnectionShutdown):
        rbd.RBD().create(ioctx, "fenced", 1 << 20)
    ioctx.close()
    victim.shutdown()


ERRORS = sorted(
    name
    for name in rados.__all__
    if isinstance(getattr(rados, name), type) and issubclass(getattr(rados, name), rados.Error)
)


@pytest.mark.parametrize("name", ERRORS)
def test_errors_pickle(name: str) -> None:
    cls = getattr(rados, name)
    error = pickle.loads(pickle.dumps(cls("m", errno=3)))
    assert type(error) is cls
    assert (str(error), error.errno) == (str(cls("m", errno=3)), 3)


def test_other_attributes_of_errors_pickle() -> None:
    error = pickle.loads(pickle.dumps(rados.ExtendMismatch("m", 4099, 4)))
    assert (error.errno, error.offset) == (4099, 4)


@pytest.mark.parametrize(
    ("name", "twin"),
    {
        "PermissionError": PermissionError,
        "PermissionDeniedError": PermissionError,
        "ObjectNotFound": FileNotFoundError,
        "ObjectExists": FileExistsError,
        "IOError": OSError,
        "InterruptedOrTimeoutError": InterruptedError,
        "TimedOut": TimeoutError,
        "NotConnected": ConnectionError,
        "ConnectionShutdown": ConnectionError,
    }.items(),
)
def test_errors_derive_from_their_builtins(name: str, twin: type) -> None:
    assert issubclass(getattr(rados, name), twin)


def test_repr_shows_no_secret(cluster: rados.Rados) -> None:
    assert repr(cluster) == "<rbd.rados.Rados client.admin (connected)>"
