# SPDX-License-Identifier: Apache-2.0
"""Runs stock lerobot-train under `accelerate launch` and writes what each rank trained on; see test_two_processes."""

import json
import os
import sys
from pathlib import Path

from lerobot.scripts import lerobot_train

import lerobot_ambient  # noqa: F401
from lerobot_ambient.core.draws import TimestepLaw
from lerobot_ambient.core.flow_time import TimeTransport
from lerobot_ambient.policy.diffusion.modeling_ambient_diffusion import AmbientDiffusionPolicy
from lerobot_ambient.policy.flow.ambient_flow import AmbientFlow

steps: list[dict] = []
"""Of each training step: the frames, their groups, and the levels drawn: `timestep`, or `time` of a flow."""


def noted(forward):
    def recording(self, batch, *args, **kwargs):
        steps.append({"index": batch["index"].tolist(), "group": batch["info"]["ambient_group"].tolist()})
        return forward(self, batch, *args, **kwargs)

    return recording


def noted_draw(draw, name):
    def recording(self, *args):
        drawn = draw(self, *args)
        steps[-1][name] = drawn.tolist()
        return drawn

    return recording


for policy in (AmbientDiffusionPolicy, AmbientFlow):
    policy.forward = noted(policy.forward)
TimestepLaw.forward = noted_draw(TimestepLaw.forward, "timestep")
TimeTransport.forward = noted_draw(TimeTransport.forward, "time")
folder = Path(sys.argv.pop(1))
lerobot_train.main()
folder.joinpath(f"rank{os.environ.get('RANK', '0')}.json").write_text(json.dumps(steps))
