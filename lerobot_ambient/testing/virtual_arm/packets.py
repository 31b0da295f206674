# SPDX-License-Identifier: Apache-2.0
"""Feetech's protocol 0: instruction packets out of a stream of bytes, status packets into bytes.

    instruction   FF FF id length instruction parameter... checksum
    status        FF FF id length error       parameter... checksum

`length` counts what follows it; `checksum` is the complement of the low byte of the sum from `id` to the last
parameter.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

BROADCAST = 254


class Instruction(IntEnum):
    """The instructions that an STS3215 knows."""

    PING = 1
    READ = 2
    WRITE = 3
    REG_WRITE = 4
    ACTION = 5
    SYNC_READ = 130
    SYNC_WRITE = 131


@dataclass(frozen=True)
class Packet:
    """An instruction packet with a valid checksum; `instruction` may be one the servos do not know."""

    motor: int
    instruction: int
    parameters: bytes


def checksum(body: bytes) -> int:
    """Return the checksum of `body`, the bytes from the id to the last parameter."""
    return ~sum(body) & 0xFF


def instruction_packet(motor: int, instruction: Instruction, parameters: bytes = b"") -> bytes:
    """Return the bytes that send `instruction` to `motor`."""
    body = bytes([motor, len(parameters) + 2, instruction]) + parameters
    return b"\xff\xff" + body + bytes([checksum(body)])


def status_packet(motor: int, error: int, parameters: bytes = b"") -> bytes:
    """Return the bytes with which `motor` answers; `error` is a set of bits in [0, 127]."""
    body = bytes([motor, len(parameters) + 2, error]) + parameters
    return b"\xff\xff" + body + bytes([checksum(body)])


class PacketReader:
    """Finds the packets in a stream that comes in pieces; bytes that belong to none are dropped, as a servo does."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[Packet]:
        """Take more bytes, return the packets that are complete now, in order."""
        self._buffer += data
        packets: list[Packet] = []
        while True:
            start = self._buffer.find(b"\xff\xff")
            if start < 0:
                # The last byte may be the first half of a header.
                del self._buffer[: max(0, len(self._buffer) - 1)]
                return packets
            del self._buffer[:start]
            if len(self._buffer) < 4:
                return packets
            length = self._buffer[3]
            # An id of FF is one more header byte; fewer than instruction and checksum cannot be a packet.
            if self._buffer[2] == 0xFF or length < 2:
                del self._buffer[0]
                continue
            if len(self._buffer) < length + 4:
                return packets
            body, sent = bytes(self._buffer[2 : length + 3]), self._buffer[length + 3]
            if checksum(body) != sent:
                del self._buffer[0]
                continue
            packets.append(Packet(body[0], body[2], body[3:]))
            del self._buffer[: length + 4]

    def forget(self) -> None:
        """Drop an unfinished packet, as a servo does when the line falls silent within one."""
        self._buffer.clear()
