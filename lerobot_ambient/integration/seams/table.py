# SPDX-License-Identifier: Apache-2.0
"""Every name of LeRobot that a function of ours takes the place of, and how that is done.

A row says where LeRobot looks the name up, which parameters ours speaks of, and what is made of the original. No row
asks for a version: a LeRobot is known if it has what the rows need, and which of two ways it goes is seen from what it
has. The rows of a part are replaced together in a module or not at all, and then the log says what is lost; without the
part `sources` a policy with sources refuses to train.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from types import ModuleType
from typing import Any

from lerobot_ambient.integration.errors import option_errors
from lerobot_ambient.integration.hooks.after_import import after_import
from lerobot_ambient.integration.hooks.substitute import original_of, substitute, unfamiliar
from lerobot_ambient.integration.seams import acting, base_policy, push, recording, train

logger = logging.getLogger(__name__)

TRAIN_MODULE = "lerobot.scripts.lerobot_train"
SOURCES, CARD = "sources", "model card"

LOST = {
    SOURCES: "Datasets cannot be merged inside lerobot-train, and a policy with sources refuses to train.",
    "metrics": "Training works, but held-out losses are not told apart by noise level, and no metrics file is written.",
    CARD: "Training works, but a policy is pushed with LeRobot's own card, which has neither the sources nor the "
    "plan's picture; write ours with `lerobot-ambient card` and upload it.",
    "lerobot-eval": "The evaluation works, but a policy is not compared with the environment first.",
    "lerobot-rollout": "The rollout works, but the policy's joints and cameras are not compared with the robot's.",
    "--policy.path": "Everything works but --policy.path of a stock policy with sources; write "
    "--policy.type=ambient_... --policy.pretrained_path=... instead.",
    "options": "Everything works, but an option that does not fit is answered without the nearest one that would.",
}
"""The parts, in the order in which `doctor` tells of them, and what is lost without each."""


@dataclass(frozen=True)
class Hook:
    """One name of LeRobot's.

    Args:
        part: that it belongs to, of `LOST`.
        module: in which LeRobot looks it up.
        name: a function or a class of the module, or a method, `Class.method`.
        needs: parameters that it must have.
        wrap: makes the function that takes its place; None where it is only called, and must be there.
        alone: whether that function does without the original for our policies; other parameters need defaults then.
        differs: what else of the original is not as it has to be, or None.
        exists: whether this LeRobot has it at all; where not, another way is taken and nothing is lost.
    """

    part: str
    module: str
    name: str
    needs: tuple[str, ...]
    wrap: Callable[[Any], Any] | None
    alone: bool = False
    differs: Callable[[Any], str | None] = lambda original: None
    exists: Callable[[], bool] = lambda: True

    def place(self, module: ModuleType) -> tuple[Any, str]:
        """The module or class that has the name, and the name in it; the owner is None where the class is gone."""
        owner, _, method = self.name.rpartition(".")
        return (getattr(module, owner, None), method) if owner else (module, method)

    def problem(self, module: ModuleType) -> str | None:
        """How the original differs from what ours needs; None where it does not."""
        owner, name = self.place(module)
        if owner is None:
            return f"{module.__name__} has no {self.name}"
        return unfamiliar(owner, name, self.needs, alone=self.alone) or self.differs(original_of(owner, name))


_SOURCES = partial(Hook, SOURCES, TRAIN_MODULE, alone=True)
_METRICS = partial(Hook, "metrics", TRAIN_MODULE)
_FREE_CARD = partial(Hook, CARD, exists=push.is_by_function)

HOOKS = (
    _SOURCES("make_train_eval_datasets", ("cfg",), train.merging, differs=train.other_result),
    _SOURCES("EpisodeAwareSampler", (*train.EPISODES, "shuffle", "seed", train.HANDLE), train.sampling),
    _METRICS("update_policy", ("train_metrics", "policy", "accelerator"), recording.stepping),
    _METRICS("make_pre_post_processors", (), recording.processing),
    _METRICS("update_last_checkpoint", (), recording.checkpointing),
    _METRICS("eval_policy_all", (), recording.rolling_out),
    _METRICS("MetricsTracker.reset_averages", ("self",), None, alone=True),
    _METRICS("MetricsTracker.to_dict", ("self",), None, alone=True),
    _FREE_CARD("lerobot.common.train_utils", "generate_model_card", ("model_cfg", "cfg"), push.own_card),
    _FREE_CARD("lerobot.common.train_utils", "publish_trained_model", ("cfg", "model"), push.announcing),
    _FREE_CARD(TRAIN_MODULE, "publish_trained_model", ("cfg", "model"), push.announcing),
    Hook(
        "lerobot-eval",
        "lerobot.scripts.lerobot_eval",
        "make_policy",
        ("cfg", "env_cfg", "rename_map"),
        acting.comparing_environment,
    ),
    Hook(
        "lerobot-rollout",
        "lerobot.scripts.lerobot_rollout",
        "build_rollout_context",
        ("cfg", *acting.PROCESSORS),
        acting.comparing_robot,
    ),
    Hook(
        "--policy.path",
        "lerobot.configs.policies",
        "PreTrainedConfig.from_pretrained",
        ("pretrained_name_or_path",),
        base_policy.reading,
    ),
    Hook(
        "options",
        "draccus.argparsing",
        "ArgumentParser.parse_known_args",
        ("self", "args", "namespace", "is_parse_args"),
        option_errors.telling,
    ),
)


@dataclass(frozen=True)
class Way:
    """How one part is done in one module.

    Args:
        part: of `LOST`.
        module: of LeRobot's.
        names: that are replaced there, or would be.
        problems: why they are not; empty where they are.
    """

    part: str
    module: str
    names: tuple[str, ...]
    problems: tuple[str, ...]

    def __str__(self) -> str:
        """What keeps the names from being replaced, and what is lost."""
        package = self.module.partition(".")[0]
        found = f"{package} {version(package)}: {'; '.join(self.problems)}. {LOST[self.part]}"
        return f"{found} Install lerobot 0.6.1, or a newer lerobot_policy_ambient_diffusion." if self.problems else ""


def ways(module: ModuleType, name: str | None = None) -> list[Way]:
    """What of the table concerns a module, and how it fits. Changes nothing.

    Args:
        module: of LeRobot's.
        name: under which the table has it, where it runs as the program itself.
    """
    name = name or module.__name__
    here = [hook for hook in HOOKS if hook.module == name and hook.exists()]
    return [
        Way(
            part,
            name,
            tuple(hook.name for hook in here if hook.part == part and hook.wrap is not None),
            tuple(told for hook in here if hook.part == part and (told := hook.problem(module)) is not None),
        )
        for part in LOST
        if any(hook.part == part for hook in here)
    ]


def install(module: ModuleType, name: str | None = None) -> None:
    """Replace the names of a module of LeRobot's, or say which not and why. Idempotent.

    Args:
        module: that was loaded.
        name: under which the table has it, where it runs as the program itself.
    """
    for way in ways(module, name):
        if way.problems:
            # LeRobot's discovery would swallow an exception together with the policy type, which still acts.
            level = logging.ERROR if way.part == SOURCES else logging.WARNING
            logger.log(level, "%s", way)
            continue
        for hook in HOOKS:
            if (hook.part, hook.module) == (way.part, way.module) and hook.wrap is not None:
                substitute(*hook.place(module), hook.wrap)


def install_when_imported() -> None:
    """Replace each name now where its module is loaded, else as soon as it is."""
    for name in dict.fromkeys(hook.module for hook in HOOKS):
        after_import(name, partial(install, name=name))
