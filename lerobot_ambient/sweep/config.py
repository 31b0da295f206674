# SPDX-License-Identifier: Apache-2.0
"""The configurations of a sweep: the one it starts from, and what each trial's stock commands are given."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import draccus
import yaml
from lerobot.configs.train import TrainPipelineConfig

from lerobot_ambient.integration.training.configured_mixture import load_train_config
from lerobot_ambient.sweep.evaluation import HELD_OUT, ROLLOUTS
from lerobot_ambient.sweep.space import Space

CHECKPOINTS = 4
"""Checkpoints of a training that is not interrupted, so that a killed one loses little."""
_LENGTHS = ("horizon", "chunk_size")
_PLACES = ("root", "device", "output_dir", "job_name")


@dataclass(frozen=True)
class BaseConfig:
    """The configuration that a sweep varies.

    Args:
        options: nested as in a configuration file, all options of the command line merged in.
        parsed: the same as LeRobot reads it.
        judge: what a trial is judged by, one of `JUDGES`.
    """

    options: Mapping[str, Any]
    parsed: Any
    judge: str = ROLLOUTS

    @property
    def steps(self) -> int:
        return int(self.parsed.steps)

    @property
    def episodes(self) -> int:
        """Rollouts of an evaluation, of each task where the environment has several."""
        return int(self.parsed.eval.n_episodes)

    @property
    def env_type(self) -> str:
        return str(self.parsed.env.type)

    def without_places(self) -> dict[str, Any]:
        """What has to be equal on every machine of a sweep: not where data lies, nor on which device it is used."""
        return _without(self.options, _PLACES)


def load_base(config_path: str | None, arguments: Sequence[str], judge: str = ROLLOUTS) -> BaseConfig:
    """The configuration of `lerobot-train` options that a sweep starts from.

    Args:
        config_path: YAML or JSON file, or None.
        arguments: further options of lerobot-train, `--name=value` or `--name value`.
        judge: what a trial is judged by, one of `JUDGES`.

    Raises:
        ValueError: LeRobot refuses it, the policy is not ours, or there is nothing to judge by: no environment, or no
            held-out episodes.
        FileNotFoundError: no such configuration.
    """
    parsed = load_train_config(config_path, arguments)
    held_out = parsed.dataset.eval_split > 0.0
    if judge == ROLLOUTS and parsed.env is None:
        split = "" if held_out else " and --dataset.eval_split=0.2"
        raise ValueError(
            "a sweep judges by rollouts and needs an environment; name it, e.g. --env.type=ambient_maze. Without a "
            f"simulator it can judge on held-out episodes of the target: --judge={HELD_OUT}{split}."
        )
    if judge == HELD_OUT and not held_out:
        raise ValueError(
            f"--judge={HELD_OUT} judges on target episodes that no trial is trained on, and none is held out; write "
            "--dataset.eval_split=0.2, which keeps the last fifth of each task's."
        )
    options: dict[str, Any] = {}
    if config_path is not None:
        options = yaml.safe_load(Path(config_path).read_text(encoding="utf-8"))
    for path, value in _given(arguments):
        node = options
        *above, name = path.split(".")
        for part in above:
            node = node.setdefault(part, {})
        node[name] = value
    if draccus.encode(decode(options, parsed.policy.device)) != draccus.encode(parsed):
        raise ValueError(
            f"the options {' '.join(arguments)} do not mean the same in a configuration file; write them into the "
            "file that --config_path names."
        )
    return BaseConfig(options, parsed, judge)


def check_space(base: BaseConfig, space: Space) -> None:
    """Build the policy's configuration at the corners of the space.

    Raises:
        ValueError: with the point at which it was refused, or a chunk's length searched by a score that depends on it.
    """
    lengths = [name for name in space.distributions if name in _LENGTHS]
    if base.judge == HELD_OUT and lengths:
        raise ValueError(
            f"--space: {', '.join(lengths)} changes the chunks that --judge={HELD_OUT} measures errors over, so scores "
            "of different values are of different things; fix it, or judge by rollouts."
        )
    for params in space.corners():
        config = copy.deepcopy(dict(base.options))
        config["policy"] = space.apply(config["policy"], params)
        try:
            decode(config, base.parsed.policy.device)
        except ValueError as error:
            error.add_note(f"at this point of --space: {params}")
            raise


def decode(options: Mapping[str, Any], device: str | None = None) -> Any:
    """LeRobot's configuration of these options.

    Args:
        options: nested as in a configuration file.
        device: of the policy where the options name none; None lets LeRobot choose, and say so each time.

    Raises:
        ValueError: they do not fit.
    """
    if device is not None:
        options = {**options, "policy": {"device": device, **options.get("policy", {})}}
    try:
        return draccus.decode(TrainPipelineConfig, options)
    except draccus.utils.DraccusException as error:
        # The parser hides what the configuration's own check said.
        cause: BaseException = error
        while isinstance(cause, draccus.utils.DraccusException) and cause.__cause__ is not None:
            cause = cause.__cause__
        raise ValueError(str(cause)) from error


def tuned_config(base: BaseConfig, space: Space, params: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration with these parameters set, everything else as it was given."""
    config = copy.deepcopy(dict(base.options))
    config["policy"] = space.apply(config["policy"], params)
    return config


def train_config(base: BaseConfig, space: Space, params: Mapping[str, Any], save_freq: int) -> dict[str, Any]:
    """What a trial's `lerobot-train` is given: no rollouts, nothing pushed, a checkpoint every `save_freq` steps."""
    config = tuned_config(base, space, params)
    for name in ("env", "eval", "output_dir", "resume"):
        config.pop(name, None)
    config["policy"]["push_to_hub"] = False
    return config | {
        "env_eval_freq": 0,
        "save_checkpoint": True,
        "save_checkpoint_to_hub": False,
        "save_freq": save_freq,
    }


def eval_config(base: BaseConfig, seed: int, episodes: int) -> dict[str, Any]:
    """What a trial's `lerobot-eval` is given besides the policy.

    Args:
        base: names the environment, and how many run side by side.
        seed: of the first rollout; the others follow it.
        episodes: rollouts.
    """
    evaluation = {**base.options.get("eval", {}), "n_episodes": episodes}
    return {"env": copy.deepcopy(base.options["env"]), "eval": evaluation, "seed": seed}


def render(config: Mapping[str, Any], header: Sequence[str] = ()) -> str:
    """A configuration as YAML, `header` above it as comments."""
    comments = "".join(f"# {line}".rstrip() + "\n" for line in header)
    return comments + yaml.safe_dump(dict(config), sort_keys=False, width=120, allow_unicode=True)


def _given(arguments: Sequence[str]) -> list[tuple[str, Any]]:
    pairs = []
    words = iter(arguments)
    for word in words:
        name, equals, text = word.removeprefix("--").partition("=")
        pairs.append((name, yaml.safe_load(text if equals else next(words, ""))))
    return pairs


def _without(node: Any, names: Sequence[str]) -> Any:
    if isinstance(node, Mapping):
        return {key: _without(value, names) for key, value in node.items() if key not in names}
    return [_without(value, names) for value in node] if isinstance(node, list) else node
