# SPDX-License-Identifier: Apache-2.0
"""How `checkpoint/` was made: stock `lerobot-train`, a tiny denoiser, six steps of fourteen.

    python tests/contracts/make_checkpoint.py FOLDER

writes FOLDER/data/{target,sim}, trains in FOLDER with paths relative to it, and leaves the checkpoint of step 6 in
FOLDER/outputs/run/checkpoints/000006, of which `checkpoint/` is a copy. It was made by the code of commit cc07754,
before the package was rebuilt inside. It stands for the checkpoints that users have, so it is never made anew: where it
is no longer read, theirs are not either.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from unittest import mock

STEPS, SAVED = 14, 6

SOURCE = {"repo_id": "me/sim", "root": "data/sim", "sigma_min": 0.5, "sigma_max": 0.125, "weight": 2.0}

WORDS = (
    "--dataset.repo_id=me/target",
    "--dataset.root=data/target",
    "--dataset.use_imagenet_stats=false",
    f"--policy.sources={json.dumps([SOURCE])}",
    "--policy.type=ambient_diffusion",
    "--policy.push_to_hub=false",
    "--policy.repo_id=me/policy",
    "--policy.device=cpu",
    "--policy.denoiser=mlp",
    "--policy.mlp_width=16",
    "--policy.mlp_depth=1",
    "--policy.horizon=8",
    "--policy.n_action_steps=4",
    "--policy.drop_n_last_frames=2",
    "--policy.num_inference_steps=10",
    "--policy.relative_actions=true",
    "--policy.ambient_loss=true",
    "--policy.ema_decay=0.9",
    "--output_dir=outputs/run",
    "--batch_size=8",
    f"--steps={STEPS}",
    f"--save_freq={SAVED}",
    "--num_workers=0",
    "--env_eval_freq=0",
)


def main(folder: Path) -> None:
    from lerobot.scripts import lerobot_train
    from recordings import RECORDINGS, write

    for name in ("target", "sim"):
        write(folder / "data" / name, RECORDINGS[name])
    os.chdir(folder)
    with mock.patch.object(sys, "argv", ["lerobot-train", *WORDS]):
        lerobot_train.main()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
