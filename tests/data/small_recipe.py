# SPDX-License-Identifier: Apache-2.0
"""How the tests of data/ read small datasets: chunks of 8 steps and 100 timesteps, co-trained."""

from diffusers.schedulers.scheduling_ddpm import DDPMScheduler

from lerobot_ambient.core.mixing import Cotrain
from lerobot_ambient.core.noise_levels import NoiseSchedule
from lerobot_ambient.data.declared.recipe import MixtureRecipe
from lerobot_ambient.data.reading.open_dataset import ReadOptions

SCHEDULE = NoiseSchedule.from_alphas_cumprod(DDPMScheduler(100, beta_schedule="squaredcos_cap_v2").alphas_cumprod)
OPTIONS = ReadOptions(observation_deltas=[-1, 0], action_deltas=list(range(-1, 7)))
RECIPE = MixtureRecipe(schedule=SCHEDULE, mixing=Cotrain(), action_mode="MIN_MAX")
