# SPDX-License-Identifier: Apache-2.0
"""An aligned source's actions as the target's kind: positions or steps, with the gain and at the rate of its steps."""

from __future__ import annotations

import logging
from dataclasses import replace
from threading import Lock
from typing import Any

import numpy as np
from lerobot.utils.constants import ACTION, OBS_STATE
from numpy.typing import NDArray

from lerobot_ambient.data.alignment.action_gain import (
    MeasuredGain,
    declared_gain,
    gain_line,
    measure_gain,
    unknown_gain,
)
from lerobot_ambient.data.alignment.action_type import guess_action_type, to_absolute, to_delta
from lerobot_ambient.data.alignment.aligned_source import AlignedSource
from lerobot_ambient.data.alignment.feature_map import ABSENT, nearest_dimensions
from lerobot_ambient.data.files.dimension_names import read_names

logger = logging.getLogger(__name__)

_MEASURING = Lock()
_MOVES = "how far a step of 1 moves the state"


def convert_actions(target: AlignedSource, source: AlignedSource, target_type: str | None) -> AlignedSource:
    """The source with the target's kind of actions.

    Args:
        target: as opened.
        source: aligned with it.
        target_type: absolute or delta; guessed when None.

    Raises:
        ValueError: the two look different and the source does not declare what its actions are; or steps in a unit of
            their own whose gain is not declared.
    """
    target_type = target_type or kind_of(target)
    if ACTION in source.computed:
        # Steps and positions of a pose are no differences of numbers; they were converted where they were computed.
        return _at_the_targets_rate(source, target, target_type)
    declared = source.config.action_type or ("delta" if source.config.action_gain is not None else None)
    if declared is None:
        guessed = guess(source)
        if target_type is not None and guessed is not None and guessed != target_type:
            raise ValueError(
                f"source '{source.name}': its actions look {guessed}, the target's ('{target.name}') {target_type}. "
                f"Declare `action_type: {guessed}` on the source and they are converted, or `action_type: "
                f"{target_type}` to take them as they are; where it is the target that is misjudged, set "
                f"policy.target_action_type={guessed}."
            )
    target_type = target_type or ("absolute" if declared else None)
    if declared is not None and declared != target_type:
        assert target_type is not None
        source = _converted(target, source, declared, target_type)
    elif target_type == "delta":
        source = _steps_of_one_gain(target, source)
    return _at_the_targets_rate(source, target, target_type)


def kind_of(target: AlignedSource) -> str | None:
    """What a target's actions are where its user does not say: steps where a gain is declared, else as they look."""
    if ACTION in target.computed:
        return "absolute" if target.computed[ACTION] == "absolute" else "delta"
    return "delta" if target.config.action_gain is not None else guess(target)


def guess(source: AlignedSource) -> str | None:
    """What a dataset's actions look like; None where its states do not tell."""
    if "kind" not in source.measured:
        source.measured["kind"] = _guess(source)
    kind: str | None = source.measured["kind"]
    return kind


def _guess(source: AlignedSource) -> str | None:
    places = _places_to_guess_by(source)
    if places is None:
        return None
    known = np.flatnonzero(places != ABSENT)
    action, state = source.columns[ACTION][:, known], source.columns[OBS_STATE][:, places[known]]
    return guess_action_type(action, state, source.columns["episode_index"])


def _converted(target: AlignedSource, source: AlignedSource, declared: str, wanted: str) -> AlignedSource:
    """Steps made positions or the reverse, through the state of their frame. Switches are positions in both.

    Raises:
        ValueError: action and state do not have the same dimensions, or steps are in an undeclared unit.
    """
    if _state_places(source) is None:
        shapes = {key: tuple(source.features[key]["shape"]) for key in (ACTION, OBS_STATE) if key in source.features}
        raise ValueError(
            f"source '{source.name}': {declared} actions become {wanted} through {OBS_STATE}, which needs the "
            f"dimensions of {ACTION}, as many or of the same names; the shapes are {shapes}. Name them, "
            f"dimension_names and policy.target_dimension_names, or set action_type: {wanted} to take the actions as "
            "they are."
        )
    feature, stays, state = source.maps[ACTION], _stays(source), _state(source)
    unknown = [name for name, lacks in zip(feature.names, _stateless(source) & ~stays, strict=True) if lacks]
    if unknown:
        raise ValueError(
            f"source '{source.name}': {declared} actions become {wanted} through {OBS_STATE}, and it has no state for "
            f"{unknown}; declare these absent in {ACTION}, too, dimensions: {{{ACTION}: {{{unknown[0]}: {{mask: "
            f"true}}}}}}, name action and state alike with dimension_names, or set action_type: {wanted} to "
            "take the actions as they are."
        )
    of_steps, other = (source, target) if declared == "delta" else (target, source)
    gain = _gain(of_steps, other, source, stays, is_target=of_steps is target)
    action = source.columns[ACTION]
    # The zero of a unit concerns positions only: a step of nothing is zero in every unit.
    made = to_absolute(action - feature.offset, state, gain) if declared == "delta" else to_delta(action, state, gain)
    how = "position = state + gain * step" if declared == "delta" else "step = (position - state) / gain"
    note = f"its {declared} actions are converted to the target's {wanted} ones, {how}, {_told(gain, source, stays)}"
    logger.info("'%s': %s", source.name, note)
    columns = source.columns | {ACTION: np.where(stays, action, made).astype(np.float32)}
    return replace(source, columns=columns, notes=(*source.notes, note))


def _gain(
    of_steps: AlignedSource, other: AlignedSource, source: AlignedSource, stays: NDArray[np.bool_], *, is_target: bool
) -> NDArray[np.float64]:
    """(D,) the gain of one side's steps beside the other's positions: declared, measured beyond doubt, or 1.

    Raises:
        ValueError: none is declared, it is measured to be another, and lag may be part of what was measured.
    """
    option = "policy.target_action_gain" if is_target else "action_gain"
    names = source.maps[ACTION].names
    declared = declared_gain(of_steps.config.action_gain, names, stays, f"'{of_steps.name}': {option}")
    measured = _measured(of_steps)
    positions = _measured(other, are_positions=True)
    beside = measured.beside(positions)
    if declared is not None:
        if (measured.is_foreign(positions, declared) & ~stays).any():
            logger.warning(
                "'%s': %s says %s, and states and actions tell %s of %s. What is declared is used.",
                *(of_steps.name, option, gain_line(declared, names, stays), gain_line(beside, names, stays), _MOVES),
            )
        return declared
    foreign = measured.is_foreign(positions) & ~stays
    if foreign.any() and (measured.is_exact | stays).all():
        logger.warning(
            "'%s': its steps are in a unit of their own; %s is %s as states and actions tell, and is used. If its "
            "controller multiplies by other numbers, declare %s.",
            *(of_steps.name, f"the gain ({_MOVES})", gain_line(beside, names, stays), option),
        )
        return np.where(foreign, [float(f"{value:.4g}") for value in beside], 1.0)
    if foreign.any():
        line = gain_line(beside, names, stays)
        write = f"--policy.target_action_gain='{line}'" if is_target else f"action_gain: {line} on the source"
        one = "--policy.target_action_gain=1.0" if is_target else "action_gain: 1.0"
        raise ValueError(
            f"{'the target' if is_target else 'source'} '{of_steps.name}': its actions are steps in a unit of their "
            f"own. As states and actions tell, the gain ({_MOVES}) is\n  {line}\nnot 1. Write\n  {write}\nor the "
            f"numbers that its controller multiplies by. If steps are in the state's unit and the arm only follows "
            f"late, write {one}."
        )
    if not np.isfinite(beside[~stays]).any():
        logger.warning(
            "'%s': states do not tell how far its steps go; they are taken in the state's unit. If a controller "
            "multiplies them, declare %s.",
            *(of_steps.name, option),
        )
    return np.ones(len(names))


def _steps_of_one_gain(target: AlignedSource, source: AlignedSource) -> AlignedSource:
    """Steps beside steps: in the target's unit where both gains are declared, else a warning where they differ."""
    names, stays = source.maps[ACTION].names, _stays(source)
    here = declared_gain(target.config.action_gain, names, stays, f"'{target.name}': policy.target_action_gain")
    there = declared_gain(source.config.action_gain, names, stays, f"'{source.name}': action_gain")
    if here is not None and there is None and source.config.catalogue is not None:
        # An entry gives a gain where it is not 1.
        there = np.ones(len(names))
    if here is not None and there is not None:
        return _of_gain(source, there / here, stays)
    if here is not None or there is not None:
        raise ValueError(
            f"source '{source.name}': its steps stand beside the target's steps, so both gains or none must be "
            f"declared; {'action_gain on the source' if there is None else 'policy.target_action_gain'} is missing. "
            f"A gain is {_MOVES}."
        )
    mine, theirs = _measured(target), _measured(source)
    if (theirs.differs_from(mine) & ~stays).any():
        nothing = unknown_gain(len(names))
        logger.warning(
            "'%s': its steps seem to be in another unit than the target's: as states and actions tell, a step of 1 "
            "moves %s there and %s here. Declare both, action_gain on the source and policy.target_action_gain, and "
            "they are brought to one unit.",
            *(source.name, *(gain_line(side.beside(nothing), names, stays) for side in (theirs, mine))),
        )
    return source


def _of_gain(source: AlignedSource, ratio: NDArray[np.float64], stays: NDArray[np.bool_]) -> AlignedSource:
    """Steps in the target's unit, `ratio` (D,) of them for one."""
    if (ratio == 1.0).all():
        return source
    feature, action = source.maps[ACTION], source.columns[ACTION]
    note = f"its steps are brought to the target's unit, {_told(ratio, source, stays)}"
    logger.info("'%s': %s", source.name, note)
    made = np.where(stays, action, (action - feature.offset) * ratio).astype(np.float32)
    return replace(source, columns=source.columns | {ACTION: made}, notes=(*source.notes, note))


def _measured(source: AlignedSource, *, are_positions: bool = False) -> MeasuredGain:
    """The gain of a dataset's steps, or of its positions taken as steps from their states."""
    if _state_places(source) is None:
        return unknown_gain(len(source.maps[ACTION].names))
    key = "positions" if are_positions else "steps"
    # Sources are aligned side by side, and all with one target.
    with _MEASURING:
        if key not in source.measured:
            action, state = source.columns[ACTION], _state(source)
            step = action - state if are_positions else action
            source.measured[key] = measure_gain(step, state, source.columns["episode_index"], source.fps)
    gain: MeasuredGain = source.measured[key]
    return gain


def _at_the_targets_rate(source: AlignedSource, target: AlignedSource, target_type: str | None) -> AlignedSource:
    """Steps of another frame rate cover another time: n times the rate, n steps for one."""
    if target_type != "delta" or source.fps == target.fps:
        return source
    action = source.columns[ACTION]
    scaled = np.where(_stays(source), action, action * (source.fps / target.fps)).astype(np.float32)
    logger.info("'%s': steps are scaled from %g to %g fps", source.name, source.fps, target.fps)
    return replace(source, columns=source.columns | {ACTION: scaled})


def _state_places(source: AlignedSource) -> NDArray[np.int64] | None:
    """(D,) the state's place of each action dimension, ABSENT for one that is no part of the state.

    By name where action and state share names: a quaternion may stand where the action has angles. Without shared names
    each its own place, where there are as many. None where nothing says which is which.
    """
    action, state = source.columns.get(ACTION), source.columns.get(OBS_STATE)
    if action is None or state is None or action.ndim != 2 or state.ndim != 2:
        return None
    names, others = (read_names(source.features[key]) for key in (ACTION, OBS_STATE))
    if not (names.are_numbers or others.are_numbers) and set(names.names) & set(others.names):
        return np.array([others.names.index(name) if name in others.names else ABSENT for name in names.names])
    return np.arange(action.shape[1]) if action.shape == state.shape else None


def _places_to_guess_by(source: AlignedSource) -> NDArray[np.int64] | None:
    """`_state_places` where they tell of half of the arm or more; else the leading dimensions of both, unless their
    names forbid it. A guess is refused or declared, so it may be tried where a conversion may not."""
    action, state = source.columns.get(ACTION), source.columns.get(OBS_STATE)
    if action is None or state is None or action.ndim != 2 or state.ndim != 2:
        return None
    names, others = (read_names(source.features[key]) for key in (ACTION, OBS_STATE))
    places = _state_places(source)
    if places is not None:
        if (places != ABSENT).all():
            return places
        # Grippers are positions beside steps, too, and say nothing.
        arm = np.array(["gripper" not in name.lower() for name in names.names])
        if 2 * (arm & (places != ABSENT)).sum() >= max(arm.sum(), 1):
            return np.where(arm, places, ABSENT)
    if action.shape != state.shape and not (names.are_numbers or others.are_numbers):
        return None
    leading = np.arange(action.shape[1])
    return np.where(leading < state.shape[1], leading, ABSENT)


def _state(source: AlignedSource) -> NDArray[Any]:
    """(N, D) states in the order of the action's dimensions; 0 for what is no part of the state."""
    state, places = source.columns[OBS_STATE], _state_places(source)
    assert places is not None
    ordered: NDArray[Any] = np.where(places == ABSENT, np.zeros((), state.dtype), state[:, np.maximum(places, 0)])
    return ordered


def _stateless(source: AlignedSource) -> NDArray[np.bool_]:
    """(D,) action dimensions that are no part of the state, or whose state is a declared constant."""
    places = _state_places(source)
    assert places is not None
    lacks: NDArray[np.bool_] = places == ABSENT
    if OBS_STATE in source.maps:
        lacks = lacks | (source.maps[OBS_STATE].take[np.maximum(places, 0)] == ABSENT)
    return lacks


def _stays(source: AlignedSource) -> NDArray[np.bool_]:
    """(D,) dimensions that are positions in both kinds of actions: switches, and what the source lacks."""
    feature = source.maps[ACTION]
    return (feature.take == ABSENT) | nearest_dimensions(feature, source.columns[ACTION])


def _told(gain: NDArray[np.float64], source: AlignedSource, stays: NDArray[np.bool_]) -> str:
    values = set(gain[~stays].tolist())
    return f"gain {values.pop():g}" if len(values) == 1 else f"gain {gain_line(gain, source.maps[ACTION].names, stays)}"
