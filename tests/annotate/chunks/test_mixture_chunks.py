# SPDX-License-Identifier: Apache-2.0
"""Chunks are what the denoiser is trained on: compared with the policy's own trajectory."""

import pytest
import torch
from diffusers.schedulers.scheduling_ddpm import DDPMScheduler

from lerobot_ambient.annotate.chunks.mixture_chunks import chunks_of
from lerobot_ambient.core.mixing import Cotrain
from lerobot_ambient.core.noise_levels import NoiseSchedule
from lerobot_ambient.data.declared.alignment import DimensionConfig
from lerobot_ambient.data.declared.recipe import MixtureRecipe
from lerobot_ambient.data.declared.sources import Source
from lerobot_ambient.data.mixture import make_mixture
from lerobot_ambient.data.reading.open_dataset import ReadOptions

SCHEDULE = NoiseSchedule.from_alphas_cumprod(DDPMScheduler(100, beta_schedule="squaredcos_cap_v2").alphas_cumprod)
OPTIONS = ReadOptions(observation_deltas=[-1, 0], action_deltas=list(range(-1, 7)))


@pytest.fixture(scope="module")
def roots(tmp_path_factory, write_dataset):
    folder = tmp_path_factory.mktemp("chunks")
    return (
        write_dataset(folder / "target", "me/target", [20, 9], seed=1),
        write_dataset(folder / "sim", "me/sim", [30, 12], seed=2),
    )


def make(roots, *, relative=False, mode="MIN_MAX", **source):
    recipe = MixtureRecipe(
        schedule=SCHEDULE, mixing=Cotrain(), action_mode=mode, relative_actions=relative, drop_n_last_frames=2
    )
    target = Source("me/target", root=str(roots[0]))
    return make_mixture(target, [Source("me/sim", root=str(roots[1]), **source)], OPTIONS, recipe)


@pytest.mark.parametrize("mode", ["MIN_MAX", "MEAN_STD"])
def test_they_are_normalised_as_lerobot_normalises(roots, mode):
    mixture = make(roots, mode=mode)
    target, sim = chunks_of(mixture)
    assert (len(target), len(sim)) == (18 + 7, 28 + 10)
    x_0, is_pad = sim.all()
    batch = mixture.dataset.gather(sim.rows.tolist())
    assert torch.equal(is_pad, batch["action_is_pad"])
    stats = {key: torch.as_tensor(value) for key, value in mixture.meta.stats["action"].items()}
    low, high = (stats["min"], stats["max"]) if mode == "MIN_MAX" else (stats["mean"], stats["std"])
    expected = 2 * (batch["action"] - low) / (high - low) - 1 if mode == "MIN_MAX" else (batch["action"] - low) / high
    torch.testing.assert_close(x_0, expected.float(), rtol=1e-5, atol=1e-5)
    assert sim.frame[:3].tolist() == [0, 1, 2]
    assert sorted(set(sim.episode.tolist())) == [0, 1]
    assert (sim.horizon, sim.dims) == (8, 2)


def test_relative_chunks_are_the_policys(roots):
    mixture = make(roots, relative=True)
    x_0, is_pad = chunks_of(mixture)[0].all()
    assert x_0[~is_pad].min() == pytest.approx(-1.0, abs=1e-5)
    assert x_0[~is_pad].max() == pytest.approx(1.0, abs=1e-5)


def test_dimensions_a_source_lacks_are_zero(roots):
    mixture = make(roots, dimensions={"action": {"joint_1": DimensionConfig(mask=True)}})
    x_0, _ = chunks_of(mixture)[1].all()
    assert (x_0[..., 1] == 0).all()
    assert (x_0[..., 0] != 0).any()


def test_paths_are_whole_episodes_in_seconds_of_their_own_rate(roots):
    # A source at half the target's rate; its second dimension is absent.
    mixture = make(roots, fps=5, dimensions={"action": {"joint_1": DimensionConfig(mask=True)}})
    target, sim = chunks_of(mixture)
    (first, last), (only,) = target.paths(3), sim.paths(1)
    assert [len(path.action) for path in (first, last, only)] == [20, 9, 30]
    assert (first.episode, last.episode, only.episode) == (0, 1, 0)
    fps = mixture.sources[0].fps
    assert target.axes.names == sim.axes.names == ("joint_0", "joint_1")
    assert target.axes.fps == fps
    assert first.seconds[-1] == pytest.approx(19 / fps)
    assert only.seconds[-1] == pytest.approx(29 / 5)
    raw = torch.from_numpy(mixture.sources[0].columns["action"][:20]).double()
    assert torch.equal(torch.from_numpy(first.action), raw)
    assert torch.from_numpy(only.action).isnan().all(0).tolist() == [False, True]
