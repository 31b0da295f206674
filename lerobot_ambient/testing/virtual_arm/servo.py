# SPDX-License-Identifier: Apache-2.0
"""One simulated STS3215: its registers, and a kinematic model of how its shaft moves.

Symbols: q actual position in ticks, v velocity in ticks/s, e = goal - present the position error in ticks. With torque
on, v follows clip(e / tau, -v_max, v_max), tau = 1.6 s / P_Coefficient, changes no faster than a_max, and never so
fast that it could not stop at the goal: |v| <= sqrt(2 a_max |e|). With torque off the shaft stays where it is, or where
a hand puts it. There is no mass, gravity or contact: load and current are read off the error.
"""

from __future__ import annotations

import math
from collections import deque

from .registers import EEPROM, READ_ONLY, REGISTERS, SIZE, TICKS, factory_memory

V_MAX = 3072.0
"""Ticks/s: 45 turns a minute, the no-load speed at 7.4 V."""

_ACCELERATION_UNIT = 100.0
"""Ticks/s^2 of one unit of the registers Acceleration and Maximum_Acceleration."""

STEP = 0.002
"""Seconds of one step of integration."""

_OVERLOAD = 32
"""The bit of a status packet's error that says overload."""


class Servo:
    """A servo with `motor` as its ID at actual position `q`, between mechanical stops.

    Args:
        motor: the ID it answers to, in [0, 253].
        q: actual position in ticks.
        stops: lowest and highest actual position, both reachable; None for a joint that turns freely.
        latency: seconds from a write of Goal_Position until the shaft obeys it.
        now: the clock's time.
    """

    def __init__(
        self, motor: int, q: float, *, stops: tuple[float, float] | None = None, latency: float = 0.0, now: float = 0.0
    ) -> None:
        self.q = q
        self.v = 0.0
        self.overloaded = False
        self._stops = stops
        self._latency = latency
        self._now = now
        self._memory = factory_memory(motor)
        self._kept = bytes(self._memory)
        self._pending: deque[tuple[float, int]] = deque()
        self._prepared: tuple[int, bytes] | None = None
        self._goal = self.present
        self._store("Goal_Position", self.present)

    @property
    def motor(self) -> int:
        """The ID, as it is in the register now."""
        return self.get("ID")

    @property
    def present(self) -> int:
        """What Present_Position says, in [0, TICKS)."""
        return math.floor(self.q - self.get("Homing_Offset") + 0.5) % TICKS

    @property
    def torque(self) -> bool:
        """Whether the motor holds its shaft."""
        return self.get("Torque_Enable") == 1

    @property
    def error(self) -> int:
        """The error bits of its status packets."""
        return _OVERLOAD if self.overloaded else 0

    def get(self, name: str) -> int:
        """Return the value of the register `name`; Present_* as of the last `advance`."""
        register = REGISTERS[name]
        return register.decode(bytes(self._memory[register.address : register.address + register.size]))

    def set(self, name: str, value: int) -> None:
        """Write `value` to the register `name`, as a packet would."""
        register = REGISTERS[name]
        self.write(register.address, register.encode(value))

    def read(self, address: int, length: int) -> bytes:
        """Return `length` bytes from `address`; addresses beyond the table read 0."""
        return bytes(self._memory[address : address + length]).ljust(length, b"\0")

    def write(self, address: int, data: bytes) -> None:
        """Write bytes from `address` on; read-only and absent addresses stay as they are.

        EEPROM addresses are kept over a loss of power only when Lock is 0.
        """
        had_torque, unlocked = self.torque, self.get("Lock") == 0
        kept = bytearray(self._kept)
        for place, byte in enumerate(data, start=address):
            if place < SIZE and place not in READ_ONLY:
                self._memory[place] = byte
                if place in EEPROM and unlocked:
                    kept[place] = byte
        self._kept = bytes(kept)
        touched = range(address, address + len(data))
        if REGISTERS["Goal_Position"].address in touched:
            self._pending.append((self._now + self._latency, self.get("Goal_Position")))
        if self.torque and not had_torque:
            self._hold()
        self._refresh()

    def prepare(self, address: int, data: bytes) -> None:
        """Keep a write for `act` (the instruction REG_WRITE)."""
        self._prepared = (address, data)

    def act(self) -> None:
        """Carry out the write that `prepare` kept, if there is one (the instruction ACTION)."""
        if self._prepared is not None:
            self.write(*self._prepared)
            self._prepared = None

    def power_cycle(self) -> None:
        """Lose power and get it back: EEPROM as it was written unlocked, everything else as from the factory."""
        self._memory = factory_memory(self.motor)
        self._memory[EEPROM.start : EEPROM.stop] = self._kept[EEPROM.start : EEPROM.stop]
        self._prepared = None
        self._hold()
        self._refresh()

    def move_by_hand(self, q: float) -> None:
        """Put the shaft at actual position `q`, or at the stop before it, unless the motor holds it."""
        if not self.torque:
            self.q = self._within_stops(q)

    def advance(self, now: float) -> None:
        """Let time pass until `now`, which must not lie before the last."""
        if now < self._now:
            raise ValueError(f"the clock went back from {self._now} to {now}; give a monotonic one")
        while self._now < now:
            due = self._pending[0][0] if self._pending else math.inf
            if due <= self._now:
                self._goal = self._pending.popleft()[1]
                continue
            if not self._moves():
                # At rest nothing happens before the next goal takes effect.
                self.v = 0.0
                self._now = min(now, due)
                continue
            step = min(STEP, now - self._now, due - self._now)
            self._integrate(step)
            # A step too small to change the clock must still end the loop.
            self._now = now if self._now + step == self._now else self._now + step
        self._refresh()

    def _moves(self) -> bool:
        if not self.torque or self.overloaded:
            return False
        if self.get("Operating_Mode") == 1:
            return self.get("Goal_Velocity") != 0 or self.v != 0.0
        return abs(self._position_error()) > 0.5 or abs(self.v) > 1.0

    def _position_error(self) -> float:
        lowest, highest = self.get("Min_Position_Limit"), self.get("Max_Position_Limit")
        goal = min(max(self._goal, lowest), highest) if lowest < highest else self._goal
        return goal - (self.q - self.get("Homing_Offset")) % TICKS

    def _integrate(self, step: float) -> None:
        a_max = _ACCELERATION_UNIT * (self.get("Acceleration") or self.get("Maximum_Acceleration") or 254)
        if self.get("Operating_Mode") == 1:
            wanted = float(self.get("Goal_Velocity"))
        else:
            e = self._position_error()
            v_max = min(abs(self.get("Goal_Velocity")) or V_MAX, V_MAX)
            wanted = min(abs(e) * self.get("P_Coefficient") / 1.6, v_max, math.sqrt(2 * a_max * abs(e)))
            wanted = min(wanted, abs(e) / step)
            wanted = math.copysign(wanted, e)
        wanted = min(max(wanted, -V_MAX), V_MAX)
        self.v += min(max(wanted - self.v, -a_max * step), a_max * step)
        self.q = self._within_stops(self.q + self.v * step)

    def _within_stops(self, q: float) -> float:
        if self._stops is None:
            return q % TICKS
        return min(max(q, self._stops[0]), self._stops[1])

    def _hold(self) -> None:
        """Take the present position as the goal, so that nothing jumps when torque comes on."""
        self.v = 0.0
        self._pending.clear()
        self._goal = self.present
        self._store("Goal_Position", self._goal)

    def _refresh(self) -> None:
        """Write what the sensors say into the read-only registers."""
        pushing = self.torque and self.get("Operating_Mode") == 0
        e = self._position_error() if pushing else 0.0
        load = round(min(max(e * self.get("P_Coefficient") / 32, -1000), 1000))
        if self.overloaded:
            load = 1000
        self._store("Present_Position", self.present)
        self._store("Present_Velocity", round(self.v))
        self._store("Present_Load", load)
        self._store("Present_Current", round(abs(load) * 0.3))
        self._store("Moving", int(abs(self.v) > 1.0))
        self._store("Status", self.error)
        self._store("Goal_Position_2", self._goal)

    def _store(self, name: str, value: int) -> None:
        register = REGISTERS[name]
        self._memory[register.address : register.address + register.size] = register.encode(value)
