# SPDX-License-Identifier: Apache-2.0
from types import SimpleNamespace

import pytest

from lerobot_ambient.policy.diffusion.schedule import denoising_steps
from lerobot_ambient.policy.shared.latency import slow_warning


def config(kind="DDPM", steps=None):
    one = SimpleNamespace(
        noise_scheduler_type=kind, num_inference_steps=steps, num_train_timesteps=100, n_action_steps=8
    )
    one.acting = denoising_steps(one)
    return one


@pytest.mark.parametrize(("seconds", "late"), [(0.049, False), (0.05, False), (0.0501, True)])
def test_a_chunk_may_take_one_control_step(seconds, late):
    assert (slow_warning(seconds, config(), 20) is not None) == late


def test_what_helps_is_named():
    assert "--policy.noise_scheduler_type=DDIM --policy.num_inference_steps=8, or --fps=2" in slow_warning(
        0.4, config(), 20
    )
    text = slow_warning(0.25, config("DDIM", 10), 30)
    assert "takes 250 ms on this machine (DDIM, 10 steps), a control step at 30 Hz 33 ms" in text
    assert "after every 8 steps the robot waits for 217 ms" in text
    assert "--policy.num_inference_steps below 10, or --fps=4" in text
    assert "num_inference_steps" not in slow_warning(0.25, config("DDIM", 1), 30)
