# SPDX-License-Identifier: Apache-2.0
"""A checkpoint as the stock policy that it acts as, for a LeRobot without this package.

Training on a mixture changes what is learned and not the network, so most checkpoints are those of a stock policy but
for the type and the options of the mixture in `config.json`. What a stock policy lacks is refused by name.
"""

from __future__ import annotations

import dataclasses
import json
import secrets
import shutil
from pathlib import Path
from typing import Any

from huggingface_hub.constants import CONFIG_NAME, SAFETENSORS_SINGLE_FILE
from lerobot.configs import PreTrainedConfig
from lerobot.configs.train import TRAIN_CONFIG_NAME

from lerobot_ambient.data.files.replace_file import replace_file
from lerobot_ambient.policy.diffusion.configuration_ambient_diffusion import AmbientDiffusionConfig
from lerobot_ambient.policy.options.mixture_options import MixtureOptions, ambient_types

ADAPTER = "adapter_config.json"
_NOT_OF_THE_POLICY = (TRAIN_CONFIG_NAME, "README.md", "*.png")
"""How it was trained: a stock LeRobot reads none of it, and the card names a type that it does not have."""


def export_stock(checkpoint: Path, output: Path) -> str:
    """Write the checkpoint as its stock type into a new folder, which is there as a whole or not at all.

    Weights and processors are copied as they are, and averaged weights take the place of those they average: the
    ambient policy acts with them too.

    Args:
        checkpoint: a `pretrained_model` folder of an ambient policy.
        output: the folder to make.

    Returns:
        The stock type.

    Raises:
        ValueError: there is something at `output`, it is no checkpoint of an ambient policy, or no stock policy acts
            as it does.
    """
    if output.exists():
        raise ValueError(f"{output} exists; nothing is overwritten, give --output-dir a folder that is not there.")
    if not (checkpoint / CONFIG_NAME).is_file():
        raise ValueError(
            f"{checkpoint} is no checkpoint: it has no {CONFIG_NAME}. Give the folder called pretrained_model."
        )
    config = PreTrainedConfig.from_pretrained(checkpoint)
    if not isinstance(config, MixtureOptions):
        raise ValueError(
            f"{checkpoint} holds a policy of type {config.type}, which LeRobot loads as it is; exported are "
            f"{', '.join(ambient_types())}."
        )
    stock = stock_of(type(config))
    if reasons := why_not_stock(config):
        raise ValueError(
            f"{checkpoint} does not act as a policy of type {stock}: {'; '.join(reasons)}. Load it with this package, "
            "as lerobot-eval and lerobot-rollout do."
        )
    if not any((checkpoint / name).exists() for name in (SAFETENSORS_SINGLE_FILE, ADAPTER)):
        raise ValueError(f"{checkpoint} has no weights: neither {SAFETENSORS_SINGLE_FILE} nor {ADAPTER} is there.")
    hidden = output.with_name(f".{output.name}.{secrets.token_hex(4)}")
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(checkpoint, hidden, ignore=shutil.ignore_patterns(*_NOT_OF_THE_POLICY))
        _write_config(hidden / CONFIG_NAME, stock)
        if getattr(config, "ema_decay", None) is not None:
            _keep_the_average(hidden / SAFETENSORS_SINGLE_FILE)
        if (hidden / ADAPTER).is_file():
            _name_stock_class(hidden / ADAPTER)
        _require_acceptable(hidden, stock)
        hidden.rename(output)
    finally:
        shutil.rmtree(hidden, ignore_errors=True)
    return stock


def stock_of(config: type[PreTrainedConfig]) -> str:
    """LeRobot's name of the stock policy that an ambient configuration was made from."""
    known = PreTrainedConfig.get_known_choices()
    bases = [base for base in config.__mro__ if base in known.values() and not issubclass(base, MixtureOptions)]
    return str(PreTrainedConfig.get_choice_name(bases[0]))


def why_not_stock(config: MixtureOptions) -> list[str]:
    """What of an ambient policy's network or of its actions the stock policy lacks, each by its option."""
    reasons = []
    if isinstance(config, AmbientDiffusionConfig):
        if config.denoiser != "unet":
            reasons.append(f"policy.denoiser={config.denoiser}, and stock has the U-Net only")
        if config.vision_encoder != "resnet" and config.image_features:
            reasons.append(f"policy.vision_encoder={config.vision_encoder}, and stock has ResNets only")
        if config.objective != "diffusion":
            reasons.append(f"policy.objective={config.objective}, and stock denoises by DDPM or DDIM only")
        if config.relative_actions:
            reasons.append("policy.relative_actions=true, and stock predicts absolute actions")
    if config.marked_cameras:
        reasons.append(f"it has a learned vector for the absent cameras {', '.join(config.marked_cameras)}")
    return reasons


def _write_config(file: Path, stock: str) -> None:
    # Not LeRobot's own writer: what is in the file stays as it is, and in its order.
    options = json.loads(file.read_text(encoding="utf-8"))
    known = {field.name for field in dataclasses.fields(PreTrainedConfig.get_choice_class(stock))}
    kept = {name: value for name, value in options.items() if name in known}
    _replace(file, {"type": stock, **kept})


def _keep_the_average(weights: Path) -> None:
    from safetensors.torch import load_file, save_file

    averaged = "averaged.module."
    kept = {
        f"diffusion.{name.removeprefix(averaged)}": tensor
        for name, tensor in load_file(weights).items()
        if name.startswith(averaged)
    }
    save_file(kept, weights, metadata={"format": "pt"})


def _name_stock_class(adapter: Path) -> None:
    """PEFT writes the class that it adapted; AutoPeftModel would import it."""
    config = json.loads(adapter.read_text(encoding="utf-8"))
    if config.pop("auto_mapping", None) is not None:
        _replace(adapter, {**config, "auto_mapping": None})


def _replace(file: Path, content: dict[str, Any]) -> None:
    replace_file(file, json.dumps(content, indent=4).encode())


def _require_acceptable(folder: Path, stock: str) -> None:
    """See that LeRobot reads the configuration as the stock type, and that the type accepts the features."""
    try:
        PreTrainedConfig.from_pretrained(folder).validate_features()
    except ValueError as error:
        raise ValueError(f"a policy of type {stock} cannot be made of it: {error}") from error
