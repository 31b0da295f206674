# SPDX-License-Identifier: Apache-2.0
"""The functions of LeRobot that are replaced: one table of them, and what stands in their places."""
