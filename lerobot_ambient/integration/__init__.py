# SPDX-License-Identifier: Apache-2.0
"""The seam: the only place that touches LeRobot's internals."""

from __future__ import annotations


def register() -> None:
    """Make LeRobot know this package's policy, environments and camera, and its training the merge. Idempotent."""
    import lerobot_ambient.envs.configuration
    import lerobot_ambient.integration.config_video_file_camera
    import lerobot_ambient.policy.configuration_ambient_diffusion  # noqa: F401
    from lerobot_ambient.integration import rollout_seam, seam

    seam.install_when_imported()
    rollout_seam.install_when_imported()
