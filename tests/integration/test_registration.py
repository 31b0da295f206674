# SPDX-License-Identifier: Apache-2.0
"""Our types and the seam are there wherever LeRobot's own are, whichever of the two is imported first."""

import subprocess
import sys

import pytest

THEIRS = "import lerobot.policies, lerobot.envs, lerobot.cameras, lerobot.scripts.lerobot_train"
OURS = "import lerobot_ambient"


@pytest.mark.parametrize("order", [(OURS, THEIRS), (THEIRS, OURS)], ids=["ours first", "theirs first"])
def test_our_types_and_the_seam_are_there_together_with_lerobots_own(order, preloaded_python):
    # Where theirs come first, they may have been there for long.
    python = sys.executable if order[0] == OURS else str(preloaded_python)
    code = "\n".join(
        [
            *order,
            "from lerobot.configs import PreTrainedConfig",
            "print('ambient_diffusion' in PreTrainedConfig.get_known_choices())",
            "print('ambient_maze' in lerobot.envs.EnvConfig.get_known_choices())",
            "print('video_file' in lerobot.cameras.CameraConfig.get_known_choices())",
            "script = lerobot.scripts.lerobot_train",
            "print(hasattr(script.make_train_eval_datasets, '_lerobot_ambient_original'))",
            "print(hasattr(script.EpisodeAwareSampler, '_lerobot_ambient_original'))",
        ]
    )
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True"] * 5
