# SPDX-License-Identifier: Apache-2.0
"""Runs stock lerobot-train under `accelerate launch` and writes what each rank trained on; see test_two_processes."""

import json
import os
import sys
from pathlib import Path

from lerobot.scripts import lerobot_train

import lerobot_ambient  # noqa: F401
from lerobot_ambient.core.draws import TimestepLaw
from lerobot_ambient.policy.diffusion.modeling_ambient_diffusion import AmbientDiffusionPolicy

steps: list[dict] = []
forward, draw = AmbientDiffusionPolicy.forward, TimestepLaw.forward


def recording_forward(self, batch, reduction="mean"):
    steps.append({"index": batch["index"].tolist(), "group": batch["info"]["ambient_group"].tolist()})
    return forward(self, batch, reduction)


def recording_draw(self, group):
    timestep = draw(self, group)
    steps[-1]["timestep"] = timestep.tolist()
    return timestep


AmbientDiffusionPolicy.forward = recording_forward
TimestepLaw.forward = recording_draw
folder = Path(sys.argv.pop(1))
lerobot_train.main()
folder.joinpath(f"rank{os.environ.get('RANK', '0')}.json").write_text(json.dumps(steps))
