# SPDX-License-Identifier: Apache-2.0
"""Our types are known wherever LeRobot's own are, whichever of the two is imported first."""

import subprocess
import sys

import pytest

THEIRS = "import lerobot.policies, lerobot.envs, lerobot.cameras"
OURS = "import lerobot_ambient"


@pytest.mark.parametrize("order", [(OURS, THEIRS), (THEIRS, OURS)], ids=["ours first", "theirs first"])
def test_our_types_are_known_together_with_lerobots_own(order):
    code = "\n".join(
        [
            *order,
            "from lerobot.configs import PreTrainedConfig",
            "print('ambient_diffusion' in PreTrainedConfig.get_known_choices())",
            "print('ambient_maze' in lerobot.envs.EnvConfig.get_known_choices())",
            "print('video_file' in lerobot.cameras.CameraConfig.get_known_choices())",
        ]
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "True", "True"]
