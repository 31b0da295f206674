# SPDX-License-Identifier: Apache-2.0
"""Tiny models of LeRobot's flow policies, written to a folder: nothing is downloaded, and nothing is stubbed here.

A policy that names its backbone takes a folder in place of the name, so a backbone of a few thousand random weights,
its tokenizer and its processor are saved there as `save_pretrained` saves the real ones. Another process, such as a
whole `lerobot-train`, then needs only the options that `as_arguments` spells. The other families are in tiny_pi.py,
tiny_qwen.py, tiny_molmo.py and tiny_others.py.

Every function returns a configuration of LeRobot's own class for the features of `features`, on the CPU, with a chunk
of 8 steps. SmolVLA's, and what all of them share, are in lerobot_ambient/testing/tiny_models, where a notebook finds
them too.
"""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import draccus
import torch
from lerobot.configs import FeatureType, PreTrainedConfig

from lerobot_ambient.testing.tiny_models.parts import (
    ACTION,
    BEGIN,
    CAMERAS,
    CHUNK,
    END,
    PIXELS,
    VOCABULARY,
    common,
    own_weights,
    write_tokenizer,
)
from lerobot_ambient.testing.tiny_models.parts import JOINTS as JOINTS
from lerobot_ambient.testing.tiny_models.parts import statistics as statistics
from lerobot_ambient.testing.tiny_models.smolvla import tiny_smolvla as tiny_smolvla

TASKS = ("pick up the cube", "open the drawer", "wipe the table", "go home")
_DERIVED = ("input_features", "output_features", "vlm_config")  # From the dataset, and from what vlm_base names.


def tiny_multi_task_dit(
    folder: Path, *, objective: str = "flow_matching", cameras: Sequence[str] = CAMERAS, **options: Any
) -> PreTrainedConfig:
    """A MultiTaskDiTConfig whose CLIP is a folder below `folder`; `objective` is flow_matching or diffusion."""
    from lerobot.policies.multi_task_dit.configuration_multi_task_dit import MultiTaskDiTConfig
    from transformers import CLIPConfig, CLIPModel

    clip = folder / "tiny-clip"  # The configuration asks for "clip" in the name.
    if not clip.exists():
        tokenizer = write_tokenizer(clip, template=f"{BEGIN} $A {END}", model_max_length=77)
        size = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
        words = {"vocab_size": VOCABULARY, "max_position_embeddings": 77, "eos_token_id": tokenizer.eos_token_id}
        words |= {"bos_token_id": tokenizer.bos_token_id, "pad_token_id": tokenizer.pad_token_id}
        pictures = {"image_size": PIXELS, "patch_size": 16}
        with own_weights():
            model = CLIPModel(CLIPConfig(text_config=size | words, vision_config=size | pictures, projection_dim=16))
        model.save_pretrained(clip)
    size = {"hidden_dim": 16, "num_layers": 1, "num_heads": 2, "timestep_embed_dim": 16, "horizon": CHUNK}
    quick = {"n_action_steps": 4, "num_integration_steps": 2, "num_inference_steps": 2, "num_train_timesteps": 20}
    named = {"vision_encoder_name": str(clip), "text_encoder_name": str(clip), "image_crop_shape": None}
    return MultiTaskDiTConfig(**(common(cameras) | size | quick | named | {"objective": objective} | options))


def write_cached_repository(hub: Path, name: str) -> Path:
    """Make, in the folder `hub` to which HF_HUB_CACHE points, what a download of `name` leaves there.

    Returns the folder for the repository's files. It is how a name that LeRobot fixes in code is found offline.
    """
    repository = hub / f"models--{name.replace('/', '--')}"
    commit = "0" * 40
    snapshot = repository / "snapshots" / commit
    if not snapshot.exists():
        snapshot.mkdir(parents=True)
        (repository / "refs").mkdir()
        (repository / "refs" / "main").write_text(commit)
    return snapshot


def as_arguments(config: PreTrainedConfig, policy_type: str | None = None) -> list[str]:
    """`--policy.*` words that make this configuration; `policy_type` names another type with the same fields.

    Features are left out: LeRobot takes them from the dataset.
    """
    words = [f"--policy.type={policy_type or config.type}"]
    stock = _defaults(type(config))
    for name, value in vars(config).items():
        if name in _DERIVED or name not in stock or stock[name] == value:
            continue
        encoded = draccus.encode(value)
        words.append(f"--policy.{name}={encoded if isinstance(encoded, str) else json.dumps(encoded)}")
    return words


def random_batch(config: PreTrainedConfig, size: int = 4, seed: int = 0) -> dict[str, Any]:
    """A batch as LeRobot's DataLoader collates it, before the pre-processor: the last two steps of one row are padded.

    Observations have an axis of time where `observation_delta_indices` is a list, as in LeRobotDataset.
    """
    generator = torch.Generator().manual_seed(seed)
    past = config.observation_delta_indices
    times = () if past is None else (len(past),)
    batch: dict[str, Any] = {}
    for key, feature in config.input_features.items():
        shape = (size, *times, *feature.shape)
        visual = feature.type is FeatureType.VISUAL
        draw = torch.rand if visual else torch.randn
        batch[key] = draw(shape, generator=generator)
        if times:
            batch[f"{key}_is_pad"] = torch.zeros(size, *times, dtype=torch.bool)
    steps = len(config.action_delta_indices)
    batch[ACTION] = torch.randn(size, steps, config.output_features[ACTION].shape[0], generator=generator)
    batch["action_is_pad"] = torch.zeros(size, steps, dtype=torch.bool)
    batch["action_is_pad"][-1, -2:] = True
    batch["task"] = [TASKS[row % len(TASKS)] for row in range(size)]
    batch["index"] = torch.arange(size)
    return batch


def observation(config: PreTrainedConfig, seed: int = 0) -> dict[str, Any]:
    """One observation as a robot gives it, with a batch axis of one and no axis of time."""
    generator = torch.Generator().manual_seed(seed)
    seen: dict[str, Any] = {"task": [TASKS[0]]}
    for key, feature in config.input_features.items():
        draw = torch.rand if feature.type is FeatureType.VISUAL else torch.randn
        seen[key] = draw((1, *feature.shape), generator=generator)
    return seen


def _defaults(stock: type[PreTrainedConfig]) -> dict[str, Any]:
    """The value of every field that has a default, as its definition gives it."""
    values = {}
    for field in dataclasses.fields(stock):
        if field.default is not dataclasses.MISSING:
            values[field.name] = field.default
        elif field.default_factory is not dataclasses.MISSING:
            values[field.name] = field.default_factory()
    return values


def stir(policy: torch.nn.Module, seed: int = 0) -> None:
    """Add a little to every weight: many are zero at first, and behind them no gradient would show a mistake."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in policy.parameters():
            parameter += 0.05 * torch.randn(parameter.shape, generator=generator).to(parameter)
