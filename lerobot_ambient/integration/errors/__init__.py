# SPDX-License-Identifier: Apache-2.0
"""What a command of LeRobot says of our errors and of options that do not fit."""
