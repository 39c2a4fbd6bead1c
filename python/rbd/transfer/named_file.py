"""A destination that is given by its path."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat

# Importing typing takes long: see rbd/__init__.py.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Optional, Tuple

# The number of symbolic links that Linux follows.
_LINKS = 40
# The longest time that one wait delays a signal, in seconds.
_WAIT = 0.05
# The errors of fsync() for files that cannot be synchronized.
_NOT_SYNCHRONIZED = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP)


def synchronize(fd: int) -> None:
    """Wait until the file is on its disk.

    fsync() may take minutes and cannot be interrupted. It runs in a thread with a duplicate
    descriptor, so that a signal handler can end the wait.
    """
    import threading  # takes a while, and few transfers need it

    own = os.dup(fd)
    errors = []

    def work() -> None:
        try:
            os.fsync(own)
        except OSError as error:
            if error.errno not in _NOT_SYNCHRONIZED:
                errors.append(error)
        finally:
            os.close(own)

    thread = threading.Thread(target=work, name="rbd-fsync", daemon=True)
    try:
        thread.start()
    except RuntimeError:  # no thread can be started
        work()
    else:
        while thread.is_alive():
            thread.join(_WAIT)
    if errors:
        raise errors[0]


def synchronize_directory(directory: int) -> None:
    """Wait until the names in a directory are on its disk."""
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
    try:
        fd = os.open(os.curdir, flags, dir_fd=directory)
    except PermissionError:
        # The directory can be written, but not read.
        os.sync()
        return
    try:
        synchronize(fd)
    finally:
        os.close(fd)


def _open_directory(directory: Any) -> int:
    """Open a directory; an empty path is the working directory.

    The descriptor refers to the same directory, even if it is renamed or the working directory
    changes. It cannot be read.
    """
    return os.open(directory or os.curdir, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)


def _is_made_by_kernel(path: Any, link: Any) -> bool:
    """Return whether the kernel follows this symbolic link to another place than its text names."""
    with contextlib.suppress(FileNotFoundError):
        if os.lstat(path).st_dev == os.stat("/proc/self").st_dev:
            return True
    try:
        there = os.stat(path)
    except FileNotFoundError:
        return False  # the file that the link names does not exist yet
    try:
        by_text = os.stat(os.path.join(os.path.dirname(path), link))
    except OSError:
        return True
    return not os.path.samestat(there, by_text)


def _follow(path: Any) -> Tuple[Any, bool]:
    """Return the target of a path's last symbolic links, and whether the target is a path at all.

    Links in /proc stand for open files; /dev/stdout and /dev/fd/N lead to them. Their text only
    looks like a path: "pipe:[7]", "/tmp/x (deleted)", or the path of a file that the shell has
    opened.
    """
    for _ in range(_LINKS):
        try:
            link = os.readlink(path)
        except OSError:
            return path, True
        if _is_made_by_kernel(path, link):
            return path, False
        path = os.path.join(os.path.dirname(path), link)
    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)


def own_descriptor(path: Any) -> Optional[int]:
    """Return N if the path leads to this process's /proc/self/fd/N, else None."""
    target, is_path = _follow(path)
    if is_path:
        return None
    import re  # takes a while, and few paths need it

    directory, name = os.path.split(os.fsdecode(target))
    found = re.fullmatch(r"/proc/(\d+)(?:/task/\d+)?/fd", os.path.realpath(directory))
    if found is None or found[1] != os.readlink("/proc/self"):
        return None
    return int(name) if name.isdecimal() else None


def directory_of(path: Any) -> Optional[int]:
    """Open the directory that has the name of a regular file.

    Returns None for other files, and for an open file that only has a name in /proc.
    """
    target, is_path = _follow(path)
    if not is_path or not stat.S_ISREG(os.stat(target).st_mode):
        return None
    return _open_directory(os.path.dirname(target))


class NamedFile:
    """A file that is open for writing under its name, or under a temporary name.

    `finish()` replaces a regular file, or creates one. `discard()` leaves the old file as it was.
    All other files are written in place: devices, FIFOs, and open files that only have a name in
    /proc. A name of an open descriptor of this process stands for that descriptor, at its position.
    """

    def __init__(self, path: Any) -> None:
        self.fd = -1
        # Whether the file is a descriptor that this process has open already.
        self.shared = False
        self._directory = -1
        self._temporary: Any = None
        try:
            mode: Optional[int] = os.stat(path).st_mode
        except FileNotFoundError:
            mode = None
        target, is_path = _follow(path)
        if mode is None or (stat.S_ISREG(mode) and is_path):
            self._make(path, target, mode)
            return
        shared = own_descriptor(path)
        if shared is not None:
            flags = fcntl.fcntl(shared, fcntl.F_GETFL)
            if flags & os.O_ACCMODE in (os.O_WRONLY, os.O_RDWR):
                self.fd = os.dup(shared)
                self.shared = True
                return
        truncate = os.O_TRUNC if stat.S_ISREG(mode) else 0
        self.fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC | os.O_NOCTTY | truncate)

    def _make(self, path: Any, target: Any, mode: Optional[int]) -> None:
        """Create the file under another name, in the directory of the file that it will replace."""
        if mode is not None and not os.access(target, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
        directory, self._name = os.path.split(target)
        if not self._name:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        suffix = f".{os.urandom(6).hex()}.part"
        temporary: Any
        if isinstance(self._name, bytes):
            temporary = b"." + self._name[:200] + suffix.encode()
        else:
            # The name has at most 255 bytes.
            short = os.fsdecode(os.fsencode(self._name)[:200])
            temporary = "." + short + suffix
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        try:
            self._directory = _open_directory(directory)
            self.fd = os.open(temporary, flags, 0o666, dir_fd=self._directory)
        except OSError as error:
            self.discard()
            raise OSError(error.errno, error.strerror, path) from error
        self._temporary = temporary
        if mode is not None:
            with contextlib.suppress(OSError):
                os.fchmod(self.fd, stat.S_IMODE(mode))

    def finish(self, fsync: bool) -> None:
        """Close the file and give it its name. With `fsync`, wait until both are on the disk."""
        if fsync and stat.S_IFMT(os.fstat(self.fd).st_mode) in (stat.S_IFREG, stat.S_IFBLK):
            synchronize(self.fd)
        fd, self.fd = self.fd, -1
        # Some file systems report a full disk only now.
        os.close(fd)
        if self._temporary is not None:
            os.replace(
                self._temporary,
                self._name,
                src_dir_fd=self._directory,
                dst_dir_fd=self._directory,
            )
            self._temporary = None
            if fsync:
                synchronize_directory(self._directory)
        self.discard()

    def discard(self) -> None:
        """Close the file. Remove it if it is not finished."""
        if self._temporary is not None:
            with contextlib.suppress(OSError):
                os.unlink(self._temporary, dir_fd=self._directory)
            self._temporary = None
        for fd in (self.fd, self._directory):
            if fd >= 0:
                with contextlib.suppress(OSError):
                    os.close(fd)
        self.fd = self._directory = -1
