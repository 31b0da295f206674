# SPDX-License-Identifier: Apache-2.0
"""The recipe, the committed configs that are written from it, and what LeRobot makes of them."""

import draccus
import pytest
import yaml
from lerobot.configs.train import TrainPipelineConfig

import lerobot_ambient  # noqa: F401
from lerobot_ambient.envs.maze_data import REPO_IDS
from lerobot_ambient.experiments.maze import (
    ARM_NAMES,
    CONFIG_FILES,
    EXAMPLE_DATA,
    EXAMPLE_SEED,
    SOURCE,
    TARGET,
    Choices,
    example_configs,
    make_arm,
    render_yaml,
    train_config,
)
from lerobot_ambient.experiments.maze_windows import squared_cosine_schedule
from lerobot_ambient.policy.mixing_config import MixingConfig
from lerobot_ambient.policy.schedule import noise_schedule


def test_the_committed_configs_are_the_recipe(checkout):
    folder = checkout / "configs" / "maze"
    committed = {path.stem: path.read_text(encoding="utf-8") for path in folder.glob("*.yaml")}
    assert committed == example_configs(), (
        "write them anew: python -m lerobot_ambient.experiments.maze --write-configs configs/maze"
    )


@pytest.mark.parametrize(("file", "name"), CONFIG_FILES.items())
def test_the_comments_change_nothing(file, name):
    config = train_config(make_arm(name, Choices()), EXAMPLE_DATA, seed=EXAMPLE_SEED)
    assert yaml.safe_load(example_configs()[file]) == config


@pytest.mark.parametrize("name", ARM_NAMES)
def test_lerobot_parses_every_arm(name, tmp_path):
    arm = make_arm(name, Choices(cotrain_alpha=0.2, sigma_min=0.3))
    (tmp_path / "train.yaml").write_text(render_yaml(train_config(arm, "data", seed=7, steps=20, batch_size=4)))
    parsed = draccus.parse(TrainPipelineConfig, tmp_path / "train.yaml", args=[])
    assert (parsed.seed, parsed.steps, parsed.batch_size, parsed.save_freq) == (7, 20, 4, 5)
    assert parsed.dataset.root == ("data/source" if name == "source_only" else "data/target")
    policy = parsed.policy
    assert policy.type == "ambient_diffusion"
    assert MixingConfig.get_choice_name(type(policy.mixing)) == arm.mixing["type"]
    assert policy.denoiser == ("unet" if name == "ambient:unet" else "mlp")
    windowed = {"ambient": 0.3, "exclusive": 0.3, "ambient:unet": 0.3}
    assert [source.sigma_min for source in policy.sources] == (
        [] if name in ("target_only", "source_only") else [windowed.get(name)]
    )
    if name == "cotrain":
        assert policy.mixing.alpha == 0.2


def test_the_reported_levels_are_those_of_the_policy():
    parsed = draccus.decode(TrainPipelineConfig, train_config(make_arm("ambient", Choices()), "data", seed=0))
    assert noise_schedule(parsed.policy).sigmas.tolist() == squared_cosine_schedule().sigmas.tolist()


def test_the_data_sets_are_those_that_make_data_writes():
    assert {"target": TARGET, "source": SOURCE} == REPO_IDS


def test_an_unknown_arm_is_refused():
    with pytest.raises(ValueError, match="no arm 'ambiant'; choose from target_only"):
        make_arm("ambiant", Choices())
