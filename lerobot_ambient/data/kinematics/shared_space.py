# SPDX-License-Identifier: Apache-2.0
"""The space that the datasets of a mixture share where the target declares one, and what of it a checkpoint keeps."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from lerobot.utils.constants import ACTION, OBS_STATE

from lerobot_ambient.data.alignment.match_names import Dimension
from lerobot_ambient.data.catalogue.compare import doubtful
from lerobot_ambient.data.catalogue.library import entry, unpinned
from lerobot_ambient.data.declared.end_effector import EndEffectorConfig
from lerobot_ambient.data.files.dimension_names import read_names
from lerobot_ambient.data.kinematics.end_effector import actions_left_out, chain_of, in_end_effector_space, names_of
from lerobot_ambient.data.kinematics.from_catalogue import from_entry
from lerobot_ambient.data.kinematics.poses import POSE
from lerobot_ambient.data.reading.open_dataset import OpenedDataset

logger = logging.getLogger(__name__)

_MARGIN = 0.05
"""Metres by which the arm may leave the box of the target's poses."""


def in_shared_space(opened: OpenedDataset, space: EndEffectorConfig | None) -> OpenedDataset:
    """A dataset of a mixture in the space of its target; as it is where the target declares none.

    A dataset whose dimensions are called as the space's has been there before: written by `lerobot-ambient merge`, or
    recorded in a rollout.

    Args:
        opened: the target or a source.
        space: the target's declaration.

    Raises:
        ValueError: one of the two declares `end_effector` and the other does not, or it does not fit the dataset.
    """
    config = opened.config.end_effector
    if space is None:
        if config is not None:
            raise ValueError(
                f"source '{opened.name}' declares end_effector and the target does not: say what the policy is to "
                "learn, policy.target_end_effector: {urdf: <the target's arm>, tip: <link>}, or remove it."
            )
        return opened
    learn = space.learned
    wanted = names_of(learn, gripper=False)
    names = {key: list(read_names(opened.features[key]).names) for key in (ACTION, OBS_STATE) if key in opened.features}
    if names.get(ACTION, [])[: len(wanted)] == wanted:
        kinds = {ACTION: learn} | ({OBS_STATE: "absolute"} if names.get(OBS_STATE, [])[: len(POSE)] == [*POSE] else {})
        return replace(opened, computed=kinds)
    if opened.config.catalogue is not None and (config is None or config.is_partial):
        opened = _from_catalogue(opened, config)
        config = opened.config.end_effector
    if config is None:
        raise ValueError(
            f"source '{opened.name}': the policy learns an end effector's poses (policy.target_end_effector), and the "
            f"source does not say where its own are: its action has {names.get(ACTION)}. Declare end_effector on it: "
            "{urdf: <its arm>, tip: <link>} for joint positions, {action: {position: [...], rotation: [...], kind: "
            "delta_base}, state: {...}} for poses or steps; see docs/how-to/train-in-end-effector-space.md."
        )
    if config is not space:
        config.require_source(opened.name)
        return in_end_effector_space(opened, learn)
    made = in_end_effector_space(opened, learn)
    if left := actions_left_out(opened):
        _refuse_second_arm(opened, left)
        logger.warning(
            "'%s': the policy learns an end effector and nothing of its action's %s, which a rollout leaves as it is.",
            *(opened.name, left),
        )
    return made


def _refuse_second_arm(target: OpenedDataset, left: Sequence[str]) -> None:
    """A policy in end-effector space has one arm.

    Raises:
        ValueError: what is left out of the target's actions is of the other side.
    """
    sides = {name: Dimension.parse(name).side for name in read_names(target.features[ACTION]).names}
    used = {side for name, side in sides.items() if name not in left}
    other = [name for name in left if sides[name] is not None and sides[name] not in used]
    if other:
        raise ValueError(
            f"'{target.name}': end-effector space has one arm, and the target's action has {other} of another one, "
            "which the policy would never move. Learn joints (no policy.target_end_effector), or record the one arm "
            "for itself."
        )


def _from_catalogue(opened: OpenedDataset, said: EndEffectorConfig | None) -> OpenedDataset:
    """A source with the `end_effector` that its catalogue entry stands for.

    Args:
        opened: the source.
        said: what it says itself of it, which stands above the entry: its state, and the changes of axes.

    Raises:
        ValueError: the entry does not know enough, or the source has other gains than it.
    """
    source = opened.config
    name, _ = unpinned(str(source.catalogue))
    write = (
        "Declare end_effector on the source: {action: {position: [...], rotation: [...], kind: ...}, state: {...}}, or "
        "{urdf: <its arm>, tip: <link>, unit: radians} for joint positions."
    )
    try:
        one = entry(name)
        config = from_entry(one)
    except ValueError as error:
        raise ValueError(
            f"source '{opened.name}': the catalogue's '{name}' does not say where its poses are: {error} {write}"
        ) from error
    assert one.action is not None
    if said is not None:
        config = replace(said, action=config.action, state=said.state or config.state)
    elif source.action_gain != one.action.gain:
        raise ValueError(
            f"source '{opened.name}': action_gain is {source.action_gain}, and the catalogue's '{name}' has "
            f"{one.action.gain}; in end-effector space a gain is end_effector.action.position_scale and "
            f"rotation_scale. {write}"
        )
    logger.info("'%s': its end_effector is what the catalogue's '%s' says: %s", opened.name, name, config)
    if (doubt := doubtful(one)) is not None:
        logger.warning("'%s': %s", opened.name, doubt)
    return replace(opened, config=replace(source, end_effector=config, action_type=None, action_gain=None))


def for_checkpoint(space: EndEffectorConfig, target: OpenedDataset) -> EndEffectorConfig:
    """The target's declaration with the arm's chain, and the box in which its poses lie where none is declared.

    Args:
        space: as declared.
        target: in its space.
    """
    chain = chain_of(space, "the target")
    bounds = space.bounds
    if bounds is None and OBS_STATE in target.computed:
        poses = target.columns[OBS_STATE][:, :3].astype(np.float64)
        low, high = poses.min(0) - _MARGIN, poses.max(0) + _MARGIN
        bounds = [[round(float(x), 4) for x in corner] for corner in (low, high)]
    return replace(space, chain=None if chain is None else chain.to_urdf(), bounds=bounds)
