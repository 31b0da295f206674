# SPDX-License-Identifier: Apache-2.0
"""Ambient co-training for LeRobot: train on all your robot data without copying its faults.

Importing the package registers the policy type `ambient_diffusion` and the environment types with LeRobot,
and teaches `lerobot-train` to merge `--policy.sources` into the target. It loads no modelling code.
"""

from lerobot_ambient.integration import register

register()
