# SPDX-License-Identifier: Apache-2.0
"""The module LeRobot imports to discover the plugin."""

from lerobot_ambient.integration import register_now

register_now()
