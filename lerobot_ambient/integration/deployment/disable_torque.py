# SPDX-License-Identifier: Apache-2.0
"""After an error at `disconnect`, let go of every motor that still obeys, and of the port and the cameras.

LeRobot 0.6.1 switches torque off motor by motor and stops at the first that fails, so the motors behind it hold their
last goal, and the cameras' threads run until the interpreter ends, which then aborts. For the length of a rollout a
robot's `disconnect` is therefore replaced by one that goes on to the others.
"""

from __future__ import annotations

import logging
import termios
from functools import partial
from typing import Any

logger = logging.getLogger(__name__)

ATTEMPTS = 3
FAILURES = (OSError, RuntimeError, termios.error)
"""What a motor bus raises: no or a wrong answer (ConnectionError), a motor's own error, a port that is gone."""


def let_go_after_errors(robot: Any) -> None:
    """Replace `robot.disconnect`, where the robot has a bus of motors and is configured to switch their torque off."""
    bus, wanted = getattr(robot, "bus", None), getattr(robot.config, "disable_torque_on_disconnect", False)
    if not (wanted and hasattr(bus, "motors") and hasattr(bus, "disable_torque")):
        return
    original = robot.disconnect

    def disconnect() -> None:
        try:
            original()
        except FAILURES as error:
            unsure = release(bus)
            if unsure:
                names = ", ".join(unsure)
                error.add_note(f"Torque is off, except perhaps on {names}: cut the power before you reach in.")
            else:
                error.add_note("Torque is off on all motors.")
            close(robot)
            raise

    robot.disconnect = disconnect


def release(bus: Any) -> list[str]:
    """Switch torque off motor by motor; return the motors that did not confirm it."""
    unsure = []
    for motor in bus.motors:
        try:
            bus.disable_torque(motor, num_retry=ATTEMPTS - 1)
        except FAILURES as error:
            logger.error("torque of %s: %s", motor, error)
            unsure.append(motor)
    return unsure


def close(robot: Any) -> None:
    """Close the port and stop the cameras: what LeRobot's `disconnect` would have gone on to."""
    closings = {"the port": partial(robot.bus.disconnect, disable_torque=False)}
    closings |= {f"camera {name}": camera.disconnect for name, camera in getattr(robot, "cameras", {}).items()}
    for name, disconnect in closings.items():
        try:
            disconnect()
        except FAILURES as error:
            logger.error("disconnecting %s: %s", name, error)
