# SPDX-License-Identifier: Apache-2.0
"""Ambient variants of LeRobot's flow-matching policies: the types `ambient_smolvla`, `ambient_pi0` and their kin."""
