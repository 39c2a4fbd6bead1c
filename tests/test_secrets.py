"""Keys and passphrases are in no message, repr, pickle, log or file that others can read."""

from __future__ import annotations

import logging
import os
import pickle
import socket
import stat
import traceback
from pathlib import Path
from typing import Any, Callable, Iterator, List, Tuple

import pytest

import rbd
import rbd.rados
from rbd.testing import LocalCluster, config
from support import daemons, isolated
from support.location import raised_by

SECRET = "tell-nobody-of-this-forty-byte-passphrase"
LUKS1 = rbd.RBD_ENCRYPTION_FORMAT_LUKS1
LUKS2 = rbd.RBD_ENCRYPTION_FORMAT_LUKS2


def told(error: BaseException) -> str:
    """Return everything that a log, a debugger or a pickle of the exception shows."""
    seen: List[str] = []
    current: Any = error
    while current is not None:
        seen += [str(current), repr(current), repr(current.args), repr(vars(current))]
        # The attributes of codecs' errors are not in __dict__.
        seen.append(repr(getattr(current, "object", "")))
        current = current.__cause__ or current.__context__
    seen += traceback.TracebackException.from_exception(error).format()
    seen.append(repr(pickle.dumps(error)))
    return "\n".join(seen)


def bad_calls(image: rbd.Image) -> Iterator[Tuple[str, Callable[[], Any]]]:
    surrogate = SECRET + "\udc80"
    for method in (image.encryption_format, image.encryption_load):
        name = method.__name__
        yield f"{name}: too many", lambda m=method: m(LUKS1, SECRET, 0, 0)
        yield f"{name}: unknown keyword", lambda m=method: m(LUKS1, passphrase=SECRET, x=1)
        yield f"{name}: no format", lambda m=method: m(passphrase=SECRET)
        yield f"{name}: format", lambda m=method: m("luks", SECRET)
        yield f"{name}: huge format", lambda m=method: m(1 << 70, SECRET)
        yield f"{name}: unknown format", lambda m=method: m(77, SECRET)
        yield f"{name}: surrogate", lambda m=method: m(LUKS1, surrogate)
        yield f"{name}: bytearray", lambda m=method: m(LUKS1, bytearray(SECRET.encode()))
        yield f"{name}: list", lambda m=method: m(LUKS1, [SECRET])
        cls = getattr(rbd.Image, name)
        yield f"{name}: no image", lambda m=cls: m(object(), LUKS1, SECRET)
    yield "no header", lambda: image.encryption_load(LUKS2, SECRET)
    if rbd.supports("rbd_encryption_load2"):
        load2 = image.encryption_load2
        yield "load2: no pair", lambda: load2([(LUKS1, SECRET, 1)])
        yield "load2: text", lambda: load2([SECRET])
        yield "load2: format", lambda: load2([(None, SECRET)])
        yield "load2: surrogate", lambda: load2([(LUKS1, surrogate)])
        yield "load2: two arguments", lambda: load2([(LUKS1, SECRET)], 1)
        yield "load2: no header", lambda: load2([(LUKS1, SECRET)])


@pytest.mark.needs("rbd_encryption_format")
@pytest.mark.rbd_image(size=32 << 20)
def test_passphrases_are_in_no_error(
    rbd_image: rbd.Image, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    for what, call in bad_calls(rbd_image):
        assert SECRET not in told(raised_by(call)), what
    rbd_image.close()
    with pytest.raises(rbd.InvalidArgument) as closed:
        rbd_image.encryption_load(LUKS1, SECRET)
    assert SECRET not in told(closed.value)
    assert SECRET not in caplog.text
    output = capfd.readouterr()
    assert SECRET not in output.out + output.err


@pytest.mark.needs("rbd_encryption_format")
@pytest.mark.timeout(300)
@pytest.mark.rbd_image(size=32 << 20)
def test_the_wrong_passphrase_is_in_no_error(
    rbd_ioctx: rbd.rados.Ioctx, rbd_image: rbd.Image
) -> None:
    rbd_image.encryption_format(LUKS1, SECRET)
    assert SECRET not in repr(rbd_image)
    rbd_image.close()
    with rbd.Image(rbd_ioctx, rbd_image.name) as image:
        with pytest.raises(rbd.PermissionError) as caught:
            image.encryption_load(LUKS1, SECRET[1:])
        assert SECRET[1:] not in told(caught.value)
        image.encryption_load(LUKS1, SECRET)
        assert SECRET not in repr(image) + repr(vars(image) if hasattr(image, "__dict__") else "")


def test_errors_still_show_signatures() -> None:
    help_text = rbd.Image.encryption_load.__doc__ or ""
    assert "passphrase" in help_text
    assert rbd.Image.encryption_load.__text_signature__ == "(self, format, passphrase)"


def key_of(path: Path) -> str:
    for line in path.read_text().splitlines():
        name, _, value = line.strip().partition(" = ")
        if name == "key":
            return value
    raise AssertionError(f"no key in {path}")


def test_keys_are_in_no_error_or_repr(rbd_cluster: rbd.testing.Cluster) -> None:
    key = key_of(Path(rbd_cluster.conffile).parent / "keyring")
    wrong = config.KeyMaker(key).new()
    cluster = rbd.rados.Rados(rados_id="admin", conffile=str(rbd_cluster.conffile))
    cluster.conf_set("key", wrong)
    assert cluster.conf_get("key") == wrong
    shown = repr(cluster) + repr(vars(cluster))
    with pytest.raises(rbd.rados.Error) as refused:
        cluster.connect(timeout=20)
    shown += told(refused.value)
    cluster.shutdown()
    for option, value in (
        ("key", key + "\0"),
        ("key", [key]),
        ("no_such_option", key),
        ("key", bytearray(key.encode())),
    ):
        other = rbd.rados.Rados(rados_id="admin")
        shown += told(raised_by(lambda o=option, v=value, c=other: c.conf_set(o, v)))
        conf = {option: value}
        shown += told(raised_by(lambda c=conf: rbd.connect(str(rbd_cluster.conffile), conf=c)))
    with rbd.connect(str(rbd_cluster.conffile), conf={"key": key}) as connected:
        shown += repr(connected) + repr(vars(connected))
        with connected.open_ioctx(rbd_cluster.pools[0]) as ioctx:
            shown += repr(ioctx) + repr(rbd.RBD())
        with pytest.raises(TypeError):
            pickle.dumps(connected)
    shown += repr(rbd_cluster)
    assert key not in shown
    assert wrong not in shown


def values_of_any_kind() -> None:
    cluster = rbd.rados.Rados(rados_id="admin")
    for value in ("plain", "täst", "\udc80", "a\udcff", b"bytes\xff", "", "x" * 100_000):
        cluster.conf_set("key", value)
        expected = value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else value
        assert cluster.conf_get("key") == expected
    # Wiping must not have changed what the interpreter shares.
    assert bytes([0x80]) == b"\x80" == "\udc80".encode("utf-8", "surrogateescape")


def test_values_of_any_kind_are_set() -> None:
    isolated.run(values_of_any_kind)


# Files and ports of a local cluster


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    before = os.umask(0o000)  # the least careful one
    try:
        with LocalCluster(conf={"debug_auth": 0}) as own:
            yield own
    finally:
        os.umask(before)


def test_no_file_with_a_key_is_readable_by_others(cluster: LocalCluster) -> None:
    directory = cluster.directory
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    keyrings = [path for path in directory.rglob("*") if path.name.endswith("keyring")]
    assert {path.relative_to(directory).parts[0] for path in keyrings} >= {"keyring", "mon.keyring"}
    for path in keyrings:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    for path in directory.iterdir():
        if path.is_dir() and path.name.startswith(("mon.", "osd.", "mgr.")):
            assert stat.S_IMODE(path.stat().st_mode) == 0o700, path


def test_no_key_is_in_a_log_a_command_line_or_an_environment(cluster: LocalCluster) -> None:
    directory = cluster.directory
    keys = {key_of(path).encode() for path in directory.rglob("*keyring")}
    assert len(keys) >= 2
    with rbd.connect(str(cluster.conffile)) as client:
        client.get_fsid()
    logs = [path for path in (directory / "log").iterdir() if path.is_file()]
    assert logs
    for path in [*logs, Path(cluster.conffile)]:
        contents = path.read_bytes()
        assert not any(key in contents for key in keys), path
    for pid in daemons.processes(directory):
        for name in ("cmdline", "environ"):
            contents = Path(f"/proc/{pid}/{name}").read_bytes()
            assert not any(key in contents for key in keys), (pid, name)


def listening(pid: int) -> List[str]:
    """Return the addresses of a process's listening TCP sockets, from /proc/net/tcp."""
    inodes = set()
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        try:
            target = os.readlink(entry)
        except FileNotFoundError:
            continue
        if target.startswith("socket:["):
            inodes.add(target[len("socket:[") : -1])
    found = []
    for table in ("tcp", "tcp6"):
        for line in Path("/proc/net", table).read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and fields[9] in inodes:
                found.append(fields[1].split(":")[0])
    return found


def test_daemons_listen_on_loopback_only(cluster: LocalCluster) -> None:
    loopback = f"{int.from_bytes(socket.inet_aton('127.0.0.1'), 'little'):08X}"
    addresses = [
        address
        for pid in daemons.processes(cluster.directory, "ceph-")
        for address in listening(pid)
    ]
    assert addresses
    assert set(addresses) == {loopback}


def test_a_private_file_is_private_from_its_first_moment(tmp_path: Path) -> None:
    path = tmp_path / "keyring"
    before = os.umask(0)
    try:
        config.write_private(path, "secret")
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with pytest.raises(FileExistsError):
        config.write_private(path, "another")
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(FileExistsError):
        config.write_private(link, "secret")
