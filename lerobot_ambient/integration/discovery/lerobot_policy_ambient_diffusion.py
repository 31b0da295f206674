# SPDX-License-Identifier: Apache-2.0
"""The module LeRobot imports to discover the plugin: importing the package registers the policy."""

import lerobot_ambient  # noqa: F401
