# SPDX-License-Identifier: Apache-2.0
"""The bus: instruction packets in, the answers of the servos out, with the faults that are active."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from .faults import Fault
from .packets import BROADCAST, Instruction, Packet, status_packet
from .registers import REGISTERS
from .servo import Servo

_REMEMBERED = 20_000
"""Commands whose times a bus remembers: eleven minutes at 30 Hz."""


@dataclass(frozen=True)
class Answer:
    """Bytes that go out on the line `delay` seconds after the instruction came in."""

    data: bytes
    delay: float = 0.0


class Bus:
    """Servos on one line. Which servo an ID means is looked up in its register, for an ID can be written."""

    def __init__(self, servos: Iterable[Servo], faults: Iterable[Fault] = ()) -> None:
        self.servos = list(servos)
        self.faults = list(faults)
        self.commanded: deque[tuple[int, float]] = deque(maxlen=_REMEMBERED)
        """The last synchronous writes of goal positions: in which session, and when in the clock's time.

        A session begins where a driver switches the torque, as LeRobot's do when they connect and disconnect.
        """
        self._session = 0
        self._struck: Counter[Fault] = Counter()

    def advance(self, now: float) -> None:
        """Let time pass for every servo until `now`, in seconds."""
        self.faults = [fault for fault in self.faults if now < fault.end]
        for servo in self.servos:
            servo.overloaded = any(f.kind == "overload" and f.active(now, servo.motor) for f in self.faults)
            servo.advance(now)

    def answer(self, packet: Packet, now: float) -> list[Answer]:
        """Carry out `packet` at `now` and return the answers in the order of the line; `advance` comes first."""
        return list(self._answers(packet, now))

    def _answers(self, packet: Packet, now: float) -> Iterator[Answer]:
        parameters = packet.parameters
        if packet.instruction == Instruction.SYNC_READ and len(parameters) >= 2:
            for motor in parameters[2:]:
                for servo in self._hearing(motor, now):
                    yield from self._reply(servo, servo.read(parameters[0], parameters[1]), now)
            return
        if packet.instruction == Instruction.SYNC_WRITE and len(parameters) >= 2:
            address, length = parameters[0], parameters[1]
            if address == REGISTERS["Goal_Position"].address:
                self.commanded.append((self._session, now))
            elif address == REGISTERS["Torque_Enable"].address:
                self._session += 1
            for start in range(2, len(parameters) - length, length + 1):
                for servo in self._hearing(parameters[start], now):
                    servo.write(address, parameters[start + 1 : start + 1 + length])
            return
        for servo in self._hearing(packet.motor, now):
            # The answer to a change of ID comes from the old one.
            motor = servo.motor
            data = self._carry_out(servo, packet)
            answers = packet.motor != BROADCAST or packet.instruction == Instruction.PING
            if data is not None and answers:
                yield from self._reply(servo, data, now, motor)

    def _carry_out(self, servo: Servo, packet: Packet) -> bytes | None:
        """Return the parameters of the answer, None where a servo keeps silent."""
        parameters = packet.parameters
        match packet.instruction:
            case Instruction.PING:
                return b""
            case Instruction.READ if len(parameters) == 2:
                return servo.read(parameters[0], parameters[1])
            case Instruction.WRITE if len(parameters) >= 2:
                if parameters[0] == REGISTERS["Torque_Enable"].address:
                    self._session += 1
                servo.write(parameters[0], parameters[1:])
                return b""
            case Instruction.REG_WRITE if len(parameters) >= 2:
                servo.prepare(parameters[0], parameters[1:])
                return b""
            case Instruction.ACTION:
                servo.act()
                return b""
        return None

    def _hearing(self, motor: int, now: float) -> list[Servo]:
        found = [servo for servo in self.servos if motor in (BROADCAST, servo.motor)]
        return [servo for servo in found if not self._strikes("no_answer", servo.motor, now)]

    def _reply(self, servo: Servo, data: bytes, now: float, motor: int | None = None) -> Iterator[Answer]:
        motor = servo.motor if motor is None else motor
        status = status_packet(motor, servo.error, data)
        if self._strikes("checksum", motor, now):
            status = status[:-1] + bytes([status[-1] ^ 0xFF])
        if self._strikes("truncated", motor, now):
            status = status[:-2]
        slow = self._strikes("slow", motor, now)
        yield Answer(status, slow.ms / 1000 if slow else 0.0)

    def _strikes(self, kind: str, motor: int, now: float) -> Fault | None:
        for fault in self.faults:
            if fault.kind == kind and fault.active(now, motor):
                self._struck[fault] += 1
                if (self._struck[fault] - 1) % fault.every == 0:
                    return fault
        return None
