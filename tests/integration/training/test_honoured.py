# SPDX-License-Identifier: Apache-2.0
"""Options of LeRobots after 0.6.1: honoured, refused by name, or warned of, whichever LeRobot is installed.

The sections that 0.6.1 does not have stand in as dataclasses with the fields that they have later.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

import pytest
from lerobot.configs.default import DatasetConfig
from lerobot.transforms import ImageTransformsConfig

from lerobot_ambient.integration.judging.seen import uses_of
from lerobot_ambient.integration.training import honoured
from lerobot_ambient.integration.training.configured_mixture import load_train_config, mixture_of
from lerobot_ambient.integration.training.merged_training import make_merged_datasets

from ..conftest import SMALL_POLICY


@dataclass
class LaterTransforms(ImageTransformsConfig):
    backend: str = "dataloader"
    gpu_chunk_size: int | None = 32
    shader: bool = False


@dataclass
class LaterDataset(DatasetConfig):
    exclude_episodes: list[int] | None = None
    image_transforms: LaterTransforms = field(default_factory=LaterTransforms)
    split_ratio: list[float] | None = None
    cache: str = "none"


@dataclass
class Ema:
    enable: bool = False
    decay: float | None = None
    shards: int | None = None


@dataclass
class Accumulation:
    steps: int = 1


@dataclass
class Fsdp:
    wrap_modules: list[str] | None = None


@dataclass
class Accelerator:
    mixed_precision: str = "no"
    gradient_accumulation: Accumulation = field(default_factory=Accumulation)
    fsdp: Fsdp = field(default_factory=Fsdp)


@dataclass
class Parallelism:
    dp_replicate: int = 1
    dp_shard: int = 1


@pytest.fixture
def later(configured):
    """later(*words): a training configuration of a later LeRobot."""

    def make(*words: str) -> Any:
        cfg = configured(*words)
        known = {one.name: getattr(cfg.dataset, one.name) for one in fields(DatasetConfig)}
        cfg.dataset = LaterDataset(**{**known, "image_transforms": LaterTransforms()})
        cfg.ema, cfg.accelerator, cfg.parallelism = Ema(), Accelerator(), Parallelism()
        return cfg

    return make


def assign(cfg: Any, option: str, value: Any) -> Any:
    *path, name = option.split(".")
    owner = cfg
    for part in path:
        owner = getattr(owner, part)
    setattr(owner, name, value)
    return cfg


REFUSED = [
    ("dataset.split_ratio", [0.8, 0.1, 0.1], r"its default is None\)\. Hold episodes out with --dataset\.eval_split"),
    ("dataset.cache", "ram", r"its default is none\)\. Leave it out, or install a newer"),
    ("dataset.image_transforms.shader", True, "ambient policies do not honour"),
    ("accelerator.fsdp.wrap_modules", ["Block"], "ambient policies do not honour"),
    ("parallelism.dp_shard", 2, r"its default is 1\)\. No ambient policy was tried with sharded parameters"),
    ("parallelism.dp_shard", -1, "replicates the policy"),
    ("ema.shards", 3, "ambient policies do not honour"),
]


@pytest.mark.parametrize(("option", "value", "told"), REFUSED)
def test_what_is_not_honoured_is_refused_by_name_and_value(later, option, value, told):
    cfg = later()
    honoured.refuse_unhonoured(cfg)
    assign(cfg, option, value)
    with pytest.raises(ValueError, match=told) as caught:
        make_merged_datasets(cfg)
    assert f"--{option}={value} is an option of lerobot " in str(caught.value)


HONOURED = [
    ("accelerator.mixed_precision", "bf16"),
    ("accelerator.gradient_accumulation.steps", 4),
    ("parallelism.dp_replicate", 2),
    ("ema.enable", True),
    ("ema.decay", 0.99),
    ("dataset.image_transforms.gpu_chunk_size", None),
    ("dataset.use_imagenet_stats", True),
    ("dataset.exclude_episodes", [1]),
]


@pytest.mark.parametrize(("option", "value"), HONOURED)
def test_what_lerobots_loop_or_ours_carries_out_is_let_through(later, option, value):
    honoured.refuse_unhonoured(assign(later(), option, value))


def test_every_option_of_this_lerobot_is_decided(later):
    """A field that the installed LeRobot adds to a section is noticed here before a user meets it."""
    refused = ("accelerator.compile", "accelerator.activation_checkpointing", "accelerator.fsdp", "parallelism")
    told = load_train_config(None, ["--dataset.repo_id=me/target", *SMALL_POLICY])
    new = []
    for section in ("dataset", "ema", "accelerator", "parallelism"):
        for path, name in options(section, getattr(told, section, None)):
            known = name in honoured._HONOURED.get(path, "").split()
            if not known and not path.startswith(refused):
                new.append(f"{path}.{name}")
    assert new == []


def options(path: str, section: Any):
    for one in fields(section) if section is not None else ():
        value = getattr(section, one.name)
        yield from (
            options(f"{path}.{one.name}", value) if hasattr(value, "__dataclass_fields__") else [(path, one.name)]
        )


def test_two_averages_of_the_weights_are_refused(later):
    cfg = later("--policy.ema_decay=0.99")
    honoured.refuse_unhonoured(cfg)
    cfg.ema.enable = True
    with pytest.raises(ValueError, match=r"--ema\.enable=true and --policy\.ema_decay=0\.99 would both average"):
        make_merged_datasets(cfg)


def test_a_precision_that_is_not_used_is_warned_of(later, caplog):
    cfg = later()
    cfg.policy.use_amp = True
    cfg.accelerator.mixed_precision = "bf16"
    honoured.refuse_unhonoured(cfg)
    assert "mixed precision" not in caplog.text
    cfg.accelerator.mixed_precision = "no"
    honoured.refuse_unhonoured(cfg)
    assert "does not train in mixed precision by it, only --accelerator.mixed_precision=bf16" in caplog.text


def test_where_lerobot_trains_by_use_amp_nobody_is_warned(later, caplog):
    cfg = later()
    cfg.policy.use_amp, cfg.accelerator = True, None
    honoured.refuse_unhonoured(cfg)
    assert "mixed precision" not in caplog.text


@pytest.mark.parametrize(
    ("chosen", "excluded", "eval_split", "train", "held_out"),
    [
        (None, [1], 0.0, [0, 2], None),
        ([2, 1], [1], 0.0, [2], None),
        # ceil(2 * 0.5) of what is left, as LeRobot resolves before it splits; of all three it would hold out two.
        (None, [0], 0.5, [1], [2]),
        (None, [], 0.5, [0], [1, 2]),
    ],
)
def test_excluded_episodes_are_left_out_before_the_split(later, chosen, excluded, eval_split, train, held_out):
    cfg = later()
    cfg.dataset.episodes, cfg.dataset.exclude_episodes, cfg.dataset.eval_split = chosen, excluded, eval_split
    dataset, evaluated = make_merged_datasets(cfg)
    assert list(dataset.mixture.sources[0].episode_ids) == train
    assert (None if evaluated is None else list(evaluated.mixture.sources[0].episode_ids)) == held_out
    cfg.dataset.eval_split = 0.0
    assert list(mixture_of(cfg).sources[0].episode_ids) == sorted([*train, *(held_out or [])])


@pytest.mark.parametrize(
    ("excluded", "told"),
    [([1, 7], r"the target 'me/target' has no episodes \[7\]"), ([0, 1, 2], "leaves no episode of the target")],
)
def test_exclusions_that_cannot_be_meant_are_refused(later, excluded, told):
    cfg = later()
    cfg.dataset.exclude_episodes = excluded
    with pytest.raises(ValueError, match=f"--dataset.exclude_episodes.*{told}|{told}"):
        make_merged_datasets(cfg)


def test_excluded_episodes_were_not_seen_by_the_checkpoint(roots):
    from lerobot_ambient.data.declared.sources import Source
    from lerobot_ambient.data.reading.open_dataset import open_metadata

    meta = open_metadata(Source("me/target", root=str(roots[0])), "me/target")
    said = {"repo_id": "me/target", "root": str(roots[0]), "exclude_episodes": [0], "eval_split": 0.5}
    (use,) = uses_of({"dataset": said})
    assert use.split(meta) == ([1], [2])
    (use,) = uses_of({"dataset": {**said, "exclude_episodes": None}})
    assert use.split(meta) == ([0], [1, 2])


@pytest.mark.skipif(not hasattr(DatasetConfig, "exclude_episodes"), reason="LeRobot 0.6.1 has no such option")
def test_excluded_episodes_are_those_of_lerobot(roots):
    from lerobot.datasets.factory import make_train_eval_datasets

    target, _ = roots
    words = ["--dataset.repo_id=me/target", f"--dataset.root={target}", "--dataset.exclude_episodes=[1]"]
    cfg = load_train_config(None, [*words, *SMALL_POLICY, "--dataset.eval_split=0.5", "--eval_steps=1"])
    ours, theirs = make_merged_datasets(cfg), make_train_eval_datasets(cfg)
    for merged, stock in zip(ours, theirs, strict=True):
        assert list(merged.mixture.sources[0].episode_ids) == stock.episodes


@pytest.mark.parametrize(("backend", "augments"), [("dataloader", True), ("gpu", False)])
def test_pictures_are_augmented_once(later, backend, augments):
    cfg = later()
    cfg.dataset.image_transforms.enable, cfg.dataset.image_transforms.backend = True, backend
    dataset, _ = make_merged_datasets(cfg)
    assert (dataset.mixture.dataset.image_transforms is not None) == augments


def test_an_unknown_place_of_augmentation_is_refused(later):
    cfg = later()
    cfg.dataset.image_transforms.enable, cfg.dataset.image_transforms.backend = True, "auto"
    with pytest.raises(ValueError, match=r"--dataset\.image_transforms\.backend=auto: who would augment"):
        make_merged_datasets(cfg)
