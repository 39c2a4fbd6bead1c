"""Checksums that Python's library does not have."""

from __future__ import annotations


def crc32c(data: bytes) -> int:
    """Return the CRC-32C of `data`, as Ceph takes it."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc
