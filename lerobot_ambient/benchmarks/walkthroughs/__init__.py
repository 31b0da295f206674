# SPDX-License-Identifier: Apache-2.0
"""From demonstrations to rollouts with LeRobot's own commands, on a simulated robot or a virtual arm."""
