# SPDX-License-Identifier: Apache-2.0
"""The arm: six servos on a bus, a hand that may move them, and the commands that change it while it runs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from .bus import Answer, Bus
from .faults import Fault, parse_fault
from .joints import JOINTS, Calibration
from .motion import MOTIONS, REST, Motion
from .packets import Packet, PacketReader
from .servo import Servo

_COMMANDS = {
    "fault KIND[:...]": "add a fault, its times counted from now",
    "clear": "end every fault",
    "motion NAME [SEED]": "let a hand make a built-in motion, from its beginning",
    "power_cycle": "cut the servos' power: EEPROM as it was written unlocked, torque off",
    "state": "print positions, torque, faults, and how regularly goals came, as JSON",
    "quit": "end the process",
}
"""Every command and what it does."""


PAUSE = 5.0
"""Seconds without a goal, in one session, that are a pause and not an interval."""


class VirtualArm:
    """Six servos with `calibration` in their EEPROM.

    Args:
        calibration: homing offset and limits of each joint by name.
        motion: how a hand moves the joints whose torque is off; None for no hand.
        faults: what goes wrong, in the clock's time.
        latency: seconds from a goal to the first motion.
        now: the clock's time.
        start: angle of each joint, degrees and percent open, at which the arm starts; at rest when None.

    Raises:
        ValueError: a latency or a number of angles that cannot be.
    """

    def __init__(
        self,
        calibration: Mapping[str, Calibration],
        *,
        motion: Motion | None = None,
        faults: Iterable[Fault] = (),
        latency: float = 0.02,
        now: float = 0.0,
        start: Sequence[float] | None = None,
    ) -> None:
        angles = REST.tolist() if start is None else start
        if len(angles) != len(JOINTS):
            raise ValueError(f"start is {list(angles)}; give {len(JOINTS)} angles, one a joint")
        if not 0 <= latency < 10:
            raise ValueError(f"latency is {latency} s; give seconds in [0, 10)")
        servos = []
        for joint, angle in zip(JOINTS, angles, strict=True):
            motor, q = joint.calibration.id, joint.actual_ticks(float(angle))
            servo = Servo(motor, q, stops=joint.stops, latency=latency, now=now)
            servo.set("Lock", 0)
            servo.set("Homing_Offset", calibration[joint.name].homing_offset)
            servo.set("Min_Position_Limit", calibration[joint.name].range_min)
            servo.set("Max_Position_Limit", calibration[joint.name].range_max)
            servo.power_cycle()
            servos.append(servo)
        self.bus = Bus(servos, faults)
        self._reader = PacketReader()
        self._motion = motion
        self._motion_start = now

    def advance(self, now: float) -> None:
        """Let time pass until `now`: the hand moves, then the servos."""
        if self._motion is not None:
            for joint, servo, angle in zip(
                JOINTS, self.bus.servos, self._motion(now - self._motion_start), strict=True
            ):
                servo.move_by_hand(joint.actual_ticks(float(angle)))
        self.bus.advance(now)

    def receive(self, data: bytes, now: float) -> list[Answer]:
        """Take bytes from the line at `now`, return what goes out on it."""
        self.advance(now)
        packets: list[Packet] = self._reader.feed(data)
        return [answer for packet in packets for answer in self.bus.answer(packet, now)]

    def line_was_silent(self) -> None:
        """Drop an unfinished packet: nothing came for much longer than a packet takes."""
        self._reader.forget()

    def unplugged(self, now: float) -> bool:
        """Tell whether the cable is pulled at `now`."""
        return any(fault.kind == "unplugged" and fault.active(now) for fault in self.bus.faults)

    def angles(self) -> dict[str, float]:
        """Return where each joint is: degrees from the middle of its range, the gripper in percent open."""
        return {joint.name: joint.angle(servo.q) for joint, servo in zip(JOINTS, self.bus.servos, strict=True)}

    def command(self, line: str, now: float) -> str:
        """Carry out one of COMMANDS, `quit` excepted, and return what to print.

        Raises:
            ValueError: there is no such command, or its words are wrong.
        """
        match line.split():
            case ["fault", text]:
                fault = parse_fault(text, now)
                self.bus.faults.append(fault)
                return f"fault {text}"
            case ["clear"]:
                self.bus.faults.clear()
                return "no faults"
            case ["motion", name, *seed] if name in MOTIONS and len(seed) <= 1:
                self._motion, self._motion_start = MOTIONS[name](int(seed[0]) if seed else 0), now
                return f"motion {name}"
            case ["power_cycle"]:
                for servo in self.bus.servos:
                    servo.power_cycle()
                return "power cycled"
            case ["state"]:
                return self._state(now)
        known = ", ".join(_COMMANDS)
        raise ValueError(f"command {line!r} is not understood; there are: {known}; motions: {', '.join(MOTIONS)}")

    def _state(self, now: float) -> str:
        self.advance(now)
        return json.dumps(
            {
                "angles": {name: round(angle, 2) for name, angle in self.angles().items()},
                "torque": [servo.torque for servo in self.bus.servos],
                "faults": [fault.kind for fault in self.bus.faults if fault.active(now)],
                "commands": intervals(self.bus.commanded),
            }
        )


def intervals(commanded: Iterable[tuple[int, float]]) -> dict[str, float | int | None]:
    """Return how many commands came, the quantiles of the intervals between them in ms, and how many pauses there were.

    Args:
        commanded: the session and the time (s, rising) of each. What passes between two sessions is no interval, nor
            is a silence of more than `PAUSE` seconds in one: between two episodes LeRobot's rollout waits for a person
            who sets the scene.
    """
    came = np.array(list(commanded), dtype=np.float64).reshape(-1, 2)
    inside = np.diff(came[:, 1])[np.diff(came[:, 0]) == 0]
    gaps = inside[inside <= PAUSE] * 1000
    told: dict[str, float | int | None] = dict.fromkeys(("median_ms", "p95_ms", "longest_ms"))
    if len(gaps):
        quantiles = np.quantile(gaps, [0.5, 0.95, 1.0])
        told = {name: round(float(q), 1) for name, q in zip(told, quantiles, strict=True)}
    return {"count": len(came), **told, "pauses": len(inside) - len(gaps)}
