# SPDX-License-Identifier: Apache-2.0
"""A virtual SO-100 or SO-101 arm: six simulated STS3215 servos that speak Feetech's protocol on a pseudo-terminal.

Symbols: a *tick* is 1/4096 of a turn; *actual* ticks are the encoder's, *present* ticks are what the servo reports,
present = (actual - Homing_Offset) mod 4096. Angles are degrees from the middle of a joint's range (the gripper: percent
open), the units of LeRobot's SO-100 drivers. Times are seconds of a monotonic clock that the caller hands in.

Only the standard library and numpy are needed. Nothing here imports LeRobot: its drivers stand on the other side of the
serial line.
"""
