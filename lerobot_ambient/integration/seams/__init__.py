# SPDX-License-Identifier: Apache-2.0
"""The functions of LeRobot's scripts that are replaced, a module a script."""
