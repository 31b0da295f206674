# SPDX-License-Identifier: Apache-2.0
"""Importing this registers every policy type of this package with LeRobot; no network is loaded for it."""

from lerobot_ambient.policy.diffusion import configuration_ambient_diffusion as configuration_ambient_diffusion
from lerobot_ambient.policy.flow import configuration_ambient as configuration_ambient
