# SPDX-License-Identifier: Apache-2.0
"""Actions and states that share only a part: LIBERO's seven and eight, angles beside a quaternion, no names at all.

Steps among positions are noticed there too, converted by name, or refused; never by place."""

import numpy as np
import pytest

from .test_action_gain import EPISODES, FRAMES, commands, driven, flat, make, with_options, write

ACTION = ("x", "y", "z", "gripper")
SWITCH = np.tile((np.arange(FRAMES) > FRAMES // 2).astype(float)[:, None] * 2 - 1, (EPISODES, 1, 1))
GAIN = 0.05


def beside(*parts):
    return np.concatenate(parts, axis=-1)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """By what a state holds: recordings of positions and of steps, of the same motion."""
    folder = tmp_path_factory.mktemp("partial")
    steps, states = commands(), driven(commands(), GAIN)
    targets = states + GAIN * steps
    fingers = beside(0.02 * SWITCH, -0.02 * SWITCH)
    other = 0.3 * commands(seed=9)[..., :2]
    kinds = {
        # More numbers than actions, in another order.
        "fingers": (("finger_1", "finger_2", "x", "y", "z"), beside(fingers, states)),
        # As many numbers as actions, of which two are something else.
        "quaternion": (("x", "y", "qx", "qw"), beside(states[..., :2], other)),
        "unnamed": (tuple("01234"), beside(states, fingers)),
        "joints": (("a", "b", "gripper"), beside(other, SWITCH)),
    }
    return {
        f"{kind} {what}": write(folder / f"{kind}_{what}", beside(moved, SWITCH), state, ACTION, names)
        for kind, (names, state) in kinds.items()
        for what, moved in (("positions", targets), ("steps", steps))
    }


@pytest.mark.parametrize("kind", ["fingers", "quaternion", "unnamed"])
@pytest.mark.parametrize("pair", [("positions", "steps"), ("steps", "positions")])
def test_steps_among_positions_are_noticed(recorded, kind, pair):
    target, source = (recorded[f"{kind} {what}"] for what in pair)
    with pytest.raises(ValueError, match=r"its actions look (delta|absolute), the target's .* Declare `action_type"):
        make(target, source)


def test_steps_become_positions_by_the_states_of_their_names(recorded):
    mixture = make(recorded["fingers positions"], with_options(recorded["fingers steps"], action_type="delta"))
    target, source = (opened.columns["action"] for opened in mixture.sources)
    np.testing.assert_allclose(source, target, atol=1e-5)
    assert "gain 0.05" in mixture.notes[0]


def test_positions_become_steps_by_the_states_of_their_names(recorded):
    source = with_options(recorded["fingers positions"], action_type="absolute")
    mixture = make(recorded["fingers steps"], source)
    np.testing.assert_allclose(mixture.sources[1].columns["action"][:, :3], flat(commands()), atol=1e-4)


def test_an_angle_does_not_become_a_position_by_a_quaternion(recorded):
    source = with_options(recorded["quaternion steps"], action_type="delta")
    with pytest.raises(ValueError, match=r"it has no state for \['z'\]"):
        make(recorded["quaternion positions"], source)


def test_without_names_nothing_is_converted_by_place(recorded):
    source = with_options(recorded["unnamed steps"], action_type="delta")
    with pytest.raises(ValueError, match=r"as many or of the same names; the shapes are"):
        make(recorded["unnamed positions"], source)


def test_a_gripper_alone_tells_nothing(recorded):
    mixture = make(recorded["joints positions"], recorded["joints steps"])
    assert mixture.notes == []
