# SPDX-License-Identifier: Apache-2.0
import subprocess
import sys
import types

import pytest

from lerobot_ambient.integration.seams import train as seam


def module_with(**changes):
    """A stand-in for LeRobot's training script."""

    def make_train_eval_datasets(cfg):
        return "stock datasets"

    class EpisodeAwareSampler:
        def __init__(
            self,
            dataset_from_indices,
            dataset_to_indices,
            episode_indices_to_use=None,
            drop_n_first_frames=0,
            drop_n_last_frames=0,
            shuffle=False,
            seed=0,
            absolute_to_relative_idx=None,
        ):
            self.seed = seed

    module = types.ModuleType(seam.TRAIN_MODULE)
    module.make_train_eval_datasets = make_train_eval_datasets
    module.EpisodeAwareSampler = EpisodeAwareSampler
    for name, value in changes.items():
        setattr(module, name, value)
    return module


def test_install_is_idempotent_and_calls_the_originals_for_others():
    module = module_with()
    original = module.EpisodeAwareSampler
    seam.install(module)
    first = module.make_train_eval_datasets
    seam.install(module)
    assert module.make_train_eval_datasets is first
    assert module.make_train_eval_datasets(types.SimpleNamespace(policy=object())) == "stock datasets"
    made = module.EpisodeAwareSampler([0], [3], seed=5, absolute_to_relative_idx={0: 0})
    assert isinstance(made, original)
    assert made.seed == 5


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"make_train_eval_datasets": lambda cfg, extra: None}, r"make_train_eval_datasets takes \('cfg', 'extra'\)"),
        ({"EpisodeAwareSampler": None}, "has no EpisodeAwareSampler"),
        ({"EpisodeAwareSampler": lambda indices: None}, r"EpisodeAwareSampler takes \('indices',\)"),
    ],
)
def test_an_unknown_lerobot_is_named_and_left_alone(changes, message):
    module = module_with(**changes)
    before = dict(vars(module))
    with pytest.raises(seam.SeamError, match=message):
        seam.install(module)
    assert vars(module) == before


def test_the_error_names_versions_and_the_way_out():
    with pytest.raises(seam.SeamError, match=r"lerobot 0\.6\.\d+ is not supported .*install lerobot 0\.6\.x"):
        seam.install(module_with(EpisodeAwareSampler=None))


def test_importing_the_package_does_not_load_the_training_script():
    code = "import lerobot_ambient, sys; print('lerobot.scripts.lerobot_train' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "False"
