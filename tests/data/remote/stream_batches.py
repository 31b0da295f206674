# SPDX-License-Identifier: Apache-2.0
"""A process of its own that draws batches from the Hub by two workers; prints a digest of each, and bytes of blocks.

python stream_batches.py REPO_ID BLOCKS_FOLDER CAPACITY BLOCK_BYTES FIRST_DRAW BATCHES
"""

import hashlib
import os
import sys
from itertools import islice
from pathlib import Path

from diffusers.schedulers.scheduling_ddpm import DDPMScheduler
from torch.utils.data import DataLoader

from lerobot_ambient.core.mixing import Cotrain
from lerobot_ambient.core.noise_levels import NoiseSchedule
from lerobot_ambient.data.declared.recipe import MixtureRecipe
from lerobot_ambient.data.declared.sources import Source
from lerobot_ambient.data.mixture import make_mixture
from lerobot_ambient.data.reading.open_dataset import ReadOptions
from lerobot_ambient.data.remote.block_store import BlockStore
from lerobot_ambient.data.remote.options import StreamOptions

SCHEDULE = NoiseSchedule.from_alphas_cumprod(DDPMScheduler(100, beta_schedule="squaredcos_cap_v2").alphas_cumprod)
OPTIONS = ReadOptions(observation_deltas=[-1, 0], action_deltas=list(range(-1, 7)), video_backend="pyav")
RECIPE = MixtureRecipe(schedule=SCHEDULE, mixing=Cotrain(), action_mode="MIN_MAX")


def main() -> None:
    repo_id, folder, capacity, block_bytes, first, count = sys.argv[1:]
    store = BlockStore(Path(folder), int(capacity), int(block_bytes))
    StreamOptions.store = lambda self: store  # type: ignore[method-assign]
    mixture = make_mixture(Source(repo_id, stream=True), [], OPTIONS, RECIPE)
    sampler = mixture.sampler(0, look_ahead=16)
    sampler.load_state_dict({"epoch": 0, "start_index": int(first)})
    loader = DataLoader(mixture.dataset, 4, sampler=sampler, num_workers=2, multiprocessing_context="fork")
    for batch in islice(loader, int(count)):
        frames = batch["observation.images.cam"].numpy().tobytes()
        print(hashlib.sha256(frames).hexdigest(), store.used(), flush=True)


if __name__ == "__main__":
    main()
    # Workers that fetch ahead need not be waited for.
    os._exit(0)
