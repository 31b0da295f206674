# SPDX-License-Identifier: Apache-2.0
"""Ambient co-training for LeRobot: train on all your robot data without copying its faults.

After `import lerobot_ambient` LeRobot knows the policy type `ambient_diffusion` and the environment types wherever it
knows its own, and `lerobot-train` merges `--policy.sources` into the target. Nothing of LeRobot is loaded for it.
"""

from lerobot_ambient.integration import register

register()
