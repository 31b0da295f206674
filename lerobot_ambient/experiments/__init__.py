# SPDX-License-Identifier: Apache-2.0
"""Experiments that anyone can repeat: stock LeRobot commands as resumable stages, their tables and figures."""
