# SPDX-License-Identifier: Apache-2.0
"""`la.train`: LeRobot's own training, called with a mixture instead of a command line."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import draccus
from lerobot.configs.train import TRAIN_CONFIG_NAME, TrainPipelineConfig
from lerobot.utils.constants import CHECKPOINTS_DIR, LAST_CHECKPOINT_LINK, PRETRAINED_MODEL_DIR

from lerobot_ambient.integration.errors.near_options import near_names
from lerobot_ambient.integration.from_python.mixture import Mixture, command_line
from lerobot_ambient.integration.training.configured_mixture import first_cause
from lerobot_ambient.policy.options.mixing import MixingConfig


def train(mixture: Mixture, output_dir: str | Path | None = None, *, steps: int, **options: Any) -> Path:
    """Train a policy on a mixture, as `lerobot-train` does with the same options, weight for weight.

    >>> sim = la.Source("me/sim", root="data/sim", sigma_min=0.3)
    >>> small = {"horizon": 8, "n_action_steps": 4, "denoiser": "mlp", "device": "cpu"}
    >>> mix = la.Mixture.open(la.Source("me/target", root="data/target"), [sim], **small)
    >>> la.train(mix, "outputs/run", steps=2, batch_size=8, num_workers=0)
    PosixPath('outputs/run/checkpoints/last/pretrained_model')

    Args:
        mixture: what to train on; it holds the policy's options, too.
        output_dir: of checkpoints and logs, which must not be there yet; a new folder in outputs/train when None.
        steps: of the optimiser.
        options: further ones of lerobot-train: `batch_size=64`, `seed=0`, `save_freq=1000`; those with a dot as a
            mapping, `wandb={"enable": True}`, `env={"type": "ambient_maze"}`, `policy={"optimizer_lr": 1e-4}`.
            The workers that read data are started by "spawn": a script needs `if __name__ == "__main__":` for them, or
            `num_workers=0`. `resume=True` goes on with the last checkpoint in `output_dir`, of a mixture that was
            opened from its configuration.

    Returns:
        The folder of the trained policy, which `--policy.path` and `from_pretrained` take.

    Raises:
        ValueError: an option that is not one or does not fit, or a mixture that cannot be trained on.
        FileExistsError: `output_dir` is there.
    """
    declared = mixture.config.policy
    if not isinstance(declared.mixing, MixingConfig):
        name = type(declared.mixing).__name__
        raise ValueError(
            f"a checkpoint cannot hold the mixing rule {name}: only those that a configuration can name are. Register "
            f'it, `@MixingConfig.register_subclass("{name.lower()}")` on a dataclass of {name} and MixingConfig '
            "(lerobot_ambient/policy/diffusion/configuration_ambient_diffusion.py), and open the mixture with that."
        )
    folder = None if output_dir is None else str(output_dir)
    cfg = _with_options(mixture.config, {**options, "steps": steps, "output_dir": folder})
    if cfg.steps < 1:
        raise ValueError(f"steps must be at least 1, got {cfg.steps}: without any there is no policy to return.")
    mixture.require_plan()
    words = []
    if cfg.resume:
        words = [f"--config_path={_last_configuration(cfg)}"]
    from lerobot.scripts import lerobot_train

    with command_line(*words):
        lerobot_train.train(cfg)
    assert cfg.output_dir is not None, "LeRobot names a folder where none was given"
    if not cfg.save_checkpoint:
        return Path(cfg.output_dir)
    return Path(cfg.output_dir) / CHECKPOINTS_DIR / LAST_CHECKPOINT_LINK / PRETRAINED_MODEL_DIR


def _with_options(config: TrainPipelineConfig, options: Mapping[str, Any]) -> TrainPipelineConfig:
    """The configuration with these options, read as from a file.

    Raises:
        ValueError: a name or a value that does not fit.
    """
    known = [one.name for one in dataclasses.fields(config) if one.init and one.name != "dataset"]
    wrong = [name for name in options if name not in known]
    if wrong:
        more = " The datasets are the mixture's." if "dataset" in wrong else ""
        raise ValueError(f"{', '.join(wrong)} is no option of lerobot-train{near_names(wrong, known)}{more}")
    values = draccus.encode(config)
    values.pop("checkpoint_path", None)
    try:
        return draccus.decode(TrainPipelineConfig, _merged(values, options))
    except draccus.utils.DraccusException as error:
        raise ValueError(first_cause(error)) from error


def _merged(values: Any, changes: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(values)
    for name, value in changes.items():
        before = merged.get(name)
        merged[name] = _merged(before, value) if _adds_to(before, value) else value
    return merged


def _adds_to(before: Any, value: Any) -> bool:
    """Whether options change some of those there are; of another type's they take the place."""
    if not isinstance(before, Mapping) or not isinstance(value, Mapping):
        return False
    return bool(value.get("type", before.get("type")) == before.get("type"))


def _last_configuration(cfg: TrainPipelineConfig) -> Path:
    """The configuration of the checkpoint that a run goes on with.

    Raises:
        ValueError: there is none, or the mixture is not the one that was opened from it.
    """
    if cfg.output_dir is None:
        raise ValueError('resume=True goes on with the run of output_dir; name it, la.train(mix, "outputs/run", ...).')
    last = Path(cfg.output_dir) / CHECKPOINTS_DIR / LAST_CHECKPOINT_LINK / PRETRAINED_MODEL_DIR / TRAIN_CONFIG_NAME
    if not last.is_file():
        raise ValueError(f"there is no checkpoint to resume in {cfg.output_dir}: {last} is not there.")
    if cfg.policy is None or getattr(cfg.policy, "mixture_fingerprint", None) is None:
        raise ValueError(
            f'a run is resumed on the mixture it was started with: open it with la.Mixture.from_config("{last}").'
        )
    return last
