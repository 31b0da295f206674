# SPDX-License-Identifier: Apache-2.0
"""Ambient forms of LeRobot's flow-matching policies: its own classes, with another law of time in training."""
