"""Measures the nanoseconds of one call, over a librbd whose data path does nothing.

This is the processor time of the thread: there is nothing to wait for.
"""

import ctypes
import os
import statistics
import time

from common import main, opened, timed


def calls(image, length):
    """Return the calls, each as a function that makes it `count` times."""
    read, write, size = image.read, image.write, image.size
    data = bytes(length)
    buffer = bytearray(length)

    def make_read(count):
        for _ in range(count):
            read(0, length)

    def make_write(count):
        for _ in range(count):
            write(data, 0)

    def make_size(count):
        for _ in range(count):
            size()

    def make_readinto(count):
        readinto = image.readinto
        for _ in range(count):
            readinto(buffer, 0)

    return {"read": make_read, "write": make_write, "size": make_size, "readinto": make_readinto}


class Foreign:
    """An image called through ctypes, as in programs without a binding."""

    def __init__(self, path, raw):
        self._library = ctypes.CDLL(path)
        number, size, memory = ctypes.c_uint64, ctypes.c_size_t, ctypes.c_char_p
        for name, types in (
            ("rbd_read", (ctypes.c_void_p, number, size, memory)),
            ("rbd_write", (ctypes.c_void_p, number, size, memory)),
            ("rbd_get_size", (ctypes.c_void_p, ctypes.POINTER(number))),
        ):
            function = getattr(self._library, name)
            function.argtypes = types
            function.restype = ctypes.c_ssize_t
        self._raw = raw

    def read(self, offset, length):
        buffer = ctypes.create_string_buffer(length)
        done = self._library.rbd_read(self._raw, offset, length, buffer)
        if done < 0:
            raise OSError(-done)
        return buffer.raw[:done]

    def write(self, data, offset):
        done = self._library.rbd_write(self._raw, offset, len(data), data)
        if done < 0:
            raise OSError(-done)
        return done

    def size(self):
        size = ctypes.c_uint64()
        self._library.rbd_get_size(self._raw, ctypes.byref(size))
        return size.value


def run(which, pool, name, call, count, length, foreign):
    with opened(which, pool, name) as (image,):
        target = image
        if foreign:
            # The shim ignores handles.
            target = Foreign(os.environ["RBD_LIBRARY"], None)
        call = calls(target, length)[call]
        call(count // 10)
        each = count // 5
        times = [timed(lambda: call(each), time.thread_time) for _ in range(5)]
    return {"value": statistics.median(times) / each * 1e9}


if __name__ == "__main__":
    main(run)
