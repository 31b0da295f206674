# SPDX-License-Identifier: Apache-2.0
"""Steps in a unit of their own: the gain that is measured, asked for, declared, and used in both directions."""

import json
import logging

import numpy as np
import pyarrow.parquet as pq
import pytest
from diffusers.schedulers.scheduling_ddpm import DDPMScheduler
from hypothesis import given
from hypothesis import strategies as st
from lerobot.datasets.lerobot_dataset import LeRobotDataset

from lerobot_ambient.cli.__main__ import main
from lerobot_ambient.core.mixing import Cotrain
from lerobot_ambient.core.noise_levels import NoiseSchedule
from lerobot_ambient.data.alignment import convert_actions
from lerobot_ambient.data.alignment.action_gain import MeasuredGain, declared_gain, measure_gain, unknown_gain
from lerobot_ambient.data.alignment.action_type import to_absolute, to_delta
from lerobot_ambient.data.declared.alignment import DimensionConfig, check_gain
from lerobot_ambient.data.declared.recipe import MixtureRecipe
from lerobot_ambient.data.declared.sources import Source
from lerobot_ambient.data.mixture import make_mixture
from lerobot_ambient.data.reading.open_dataset import ReadOptions
from lerobot_ambient.policy.diffusion.configuration_ambient_diffusion import AmbientDiffusionConfig

SCHEDULE = NoiseSchedule.from_alphas_cumprod(DDPMScheduler(100, beta_schedule="squaredcos_cap_v2").alphas_cumprod)
NAMES = ["x", "y", "z"]
FPS, EPISODES, FRAMES = 10, 3, 60
EPISODE = np.repeat(np.arange(EPISODES), FRAMES)


def commands(seed=0):
    """(episodes, frames, 3) smooth steps in about [-1, 1]."""
    noise = np.random.default_rng(seed).normal(size=(EPISODES, FRAMES + 9, 3))
    return np.stack([noise[:, i : i + FRAMES] for i in range(10)]).mean(0) * [2.0, 1.4, 1.0]


def driven(steps, gain, *, noise=0.0, seed=0):
    """States of a controller that multiplies steps by `gain` and gets there."""
    moved = np.cumsum(gain * steps, axis=1)
    states = np.concatenate([np.zeros_like(moved[:, :1]), moved[:, :-1]], axis=1)
    return states + noise * np.random.default_rng(seed).normal(size=states.shape)


def flat(values):
    return values.reshape(-1, values.shape[-1])


def write(root, actions, states, names=NAMES, state_names=NAMES, fps=FPS):
    features = {
        "action": {"dtype": "float32", "shape": (len(names),), "names": list(names)},
        "observation.state": {"dtype": "float32", "shape": (len(state_names),), "names": list(state_names)},
    }
    data = LeRobotDataset.create(f"me/{root.name}", fps, features, root=root, use_videos=False)
    for one, other in zip(actions.astype(np.float32), states.astype(np.float32), strict=True):
        for action, state in zip(one, other, strict=True):
            data.add_frame({"action": action, "observation.state": state, "task": "go"})
        data.save_episode()
    data.finalize()
    return Source(f"me/{root.name}", root=str(root))


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    """places: states lie one frame behind the positions. steps: of gain 0.05. blurred: those with noisy states."""
    folder = tmp_path_factory.mktemp("gain")
    places = np.cumsum(0.05 * commands(1), axis=1)
    behind = np.concatenate([places[:, :1], places[:, :-1]], axis=1)
    return {
        "places": write(folder / "places", places, behind),
        "steps": write(folder / "steps", commands(), driven(commands(), 0.05)),
        "blurred": write(folder / "blurred", commands(), driven(commands(), 0.05, noise=0.012)),
    }


def make(target, *sources, **kwargs):
    options = ReadOptions(observation_deltas=[0], action_deltas=list(range(4)))
    recipe = MixtureRecipe(schedule=SCHEDULE, mixing=Cotrain(), action_mode="MIN_MAX", **kwargs)
    return make_mixture(target, list(sources), options, recipe)


def with_options(config, **options):
    return Source(config.repo_id, root=config.root, **options)


def constant(gain):
    return MeasuredGain(*(np.array([value]) for value in (gain, 0.9, gain, 0.9)))


UNKNOWN = unknown_gain(1)


class TestMeasuring:
    @pytest.mark.parametrize("gain", [0.02, 0.05, 1.0, np.array([0.05, 0.5, 12.0])])
    def test_a_controllers_gain_is_found(self, gain):
        steps = commands()
        measured = measure_gain(flat(steps), flat(driven(steps, gain)), EPISODE, FPS)
        for reading in (measured.late, measured.summed, measured.beside(UNKNOWN)):
            np.testing.assert_allclose(reading, np.broadcast_to(gain, 3), rtol=1e-6)
        assert measured.is_exact.all()

    def test_frames_that_were_moved_by_hand_do_not_count(self):
        steps = commands()
        states = driven(steps, 0.05)
        states[:, 30:] += 5.0
        np.testing.assert_allclose(measure_gain(flat(steps), flat(states), EPISODE, FPS).summed, 0.05, rtol=0.05)

    def test_at_a_thousand_frames_a_second_a_few_lags_stand_for_all(self, monkeypatch):
        cov, seen = np.cov, []
        monkeypatch.setattr(
            "lerobot_ambient.data.alignment.action_gain.np.cov", lambda x, y: seen.append(len(x)) or cov(x, y)
        )
        measured = measure_gain(
            commands()[0, :, :1].repeat(20, 0),
            driven(commands(), 0.05)[0, :, :1].repeat(20, 0),
            np.zeros(20 * commands().shape[1], np.int64),
            1000.0,
        )
        assert len(seen) <= 2 * 25
        assert 0.02 < measured.late[0] < 1.0

    def test_no_motion_and_no_relation_tell_nothing(self):
        steps, states = commands(), driven(commands(seed=5), 0.05)
        states[..., 1] = 0.0
        measured = measure_gain(flat(steps), flat(states), EPISODE, FPS)
        assert np.isnan(measured.beside(UNKNOWN)).all() and not measured.is_exact.any()
        assert not measured.is_foreign(UNKNOWN).any()

    def test_noisy_states_hide_single_steps_but_not_their_sum(self):
        measured = measure_gain(flat(commands()), flat(driven(commands(), 0.05, noise=0.012)), EPISODE, FPS)
        np.testing.assert_allclose(measured.beside(UNKNOWN), 0.05, rtol=0.1)
        assert measured.is_foreign(UNKNOWN).all()

    @pytest.mark.parametrize("lag", [1, 3, 5])
    def test_an_arm_that_follows_late_has_no_unit_of_its_own(self, lag):
        """Steps to a commanded position that the arm reaches `lag` frames later, at most half a second."""
        places = np.cumsum(0.3 * np.random.default_rng(0).normal(size=(EPISODES, FRAMES, 3)), axis=1)
        states = np.concatenate([np.repeat(places[:, :1], lag, axis=1), places[:, :-lag]], axis=1)
        measured = measure_gain(flat(places - states), flat(states), EPISODE, FPS)
        assert not measured.is_foreign(UNKNOWN).any()
        np.testing.assert_allclose(measured.late, 1.0, rtol=0.05)

    def test_lag_is_divided_out_beside_positions_with_the_same(self):
        half, tenth = constant(0.5), constant(0.1)
        assert tenth.beside(half).tolist() == [0.2] and tenth.beside(UNKNOWN).tolist() == [0.1]
        assert tenth.beside(constant(0.1)).tolist() == [1.0]
        assert tenth.is_foreign(half).tolist() == [True] and tenth.is_foreign(constant(0.1)).tolist() == [False]

    @pytest.mark.parametrize(("gain", "is_far"), [(0.499, True), (0.5, False), (2.0, False), (2.01, True)])
    def test_a_factor_of_two_is_the_bound(self, gain, is_far):
        assert constant(gain).is_foreign(UNKNOWN).tolist() == [is_far]
        assert constant(3.0 * gain).is_foreign(UNKNOWN, 3.0).tolist() == [is_far]
        assert constant(gain).differs_from(constant(1.0)).tolist() == [is_far]


@pytest.mark.parametrize("unit", [1.0, 20.0])
def test_real_steps_need_a_gain_only_where_their_unit_is_foreign(shared_data, unit):
    """The gripper, last, is a position in both kinds."""
    tables = [pq.read_table(file) for file in sorted((shared_data / "so101_teleop" / "data").glob("*/*.parquet"))]
    action, state, episode = (
        np.concatenate([np.array(table[key].to_pylist()) for table in tables])
        for key in ("action", "observation.state", "episode_index")
    )
    positions = measure_gain(action - state, state, episode, 30)
    ways, increments = action - state, np.diff(action, axis=0, prepend=action[:1])
    for steps, unlike, exact in ((ways, unknown_gain(6), 1e-3), (increments, positions, 0.2)):
        measured = measure_gain(unit * steps, state, episode, 30)
        for beside in (unlike, positions):
            assert measured.is_foreign(beside)[:5].tolist() == [unit == 20.0] * 5
        assert not measured.is_foreign(positions, 1.0 / unit)[:5].any()
        if steps is ways:
            np.testing.assert_allclose(measured.late / positions.late, 1.0 / unit, rtol=exact)
        else:
            np.testing.assert_allclose(measured.summed[:5], 1.0 / unit, rtol=exact)


@given(
    gain=st.lists(st.floats(0.01, 100.0) | st.floats(-100.0, -0.01), min_size=3, max_size=3), seed=st.integers(0, 1000)
)
def test_the_conversions_are_inverses(gain, seed):
    rng = np.random.default_rng(seed)
    action, state = rng.normal(size=(2, 20, 3))
    back = to_delta(to_absolute(action, state, np.array(gain)), state, np.array(gain))
    np.testing.assert_allclose(back, action, atol=1e-9 + 1e-13 / min(abs(g) for g in gain))


class TestConverting:
    def test_steps_that_explain_all_motion_are_converted_by_their_gain_and_it_is_said(self, recordings, caplog):
        mixture = make(recordings["places"], with_options(recordings["steps"], action_type="delta"))
        source = mixture.sources[1]
        inner = np.append(np.diff(source.columns["episode_index"]) == 0, False)
        state, action = source.columns["observation.state"], source.columns["action"]
        np.testing.assert_allclose(action[inner], state[np.flatnonzero(inner) + 1], atol=1e-5)
        assert "is {x: 0.05, y: 0.05, z: 0.05} as states and actions tell, and is used" in caplog.text
        assert mixture.notes == [
            "'me/steps': its delta actions are converted to the target's absolute ones, position = state + gain * step,"
            " gain 0.05"
        ]

    def test_where_states_blur_it_the_gain_is_asked_for(self, recordings):
        source = with_options(recordings["blurred"], action_type="delta")
        with pytest.raises(
            ValueError, match=r"(?s)source 'me/blurred'.*the gain .*Write\n  action_gain: \{x: 0\.05[0-9]*, y: 0\.05"
        ) as e:
            make(recordings["places"], source)
        assert "write action_gain: 1.0." in str(e.value)

    def test_another_gain_is_another_mixture(self, recordings):
        lines = {
            gain: make(recordings["places"], with_options(recordings["blurred"], action_gain=gain)).fingerprint[1]
            for gain in (0.05, 0.06)
        }
        assert lines[0.05] != lines[0.06]

    @pytest.mark.parametrize("gain", [0.05, {"x": 0.05, "y": 0.05, "z": 0.05}, 1.0])
    def test_what_is_declared_is_used(self, recordings, gain, caplog):
        source = make(recordings["places"], with_options(recordings["blurred"], action_gain=gain)).sources[1]
        number = gain if isinstance(gain, float) else gain["x"]
        moved = source.columns["action"] - source.columns["observation.state"]
        np.testing.assert_allclose(moved, number * flat(commands()), atol=1e-5)
        assert ("What is declared is used." in caplog.text) == (number == 1.0)

    def test_positions_become_steps_of_the_targets_unit(self, recordings, caplog):
        source = with_options(recordings["places"], action_type="absolute")
        for target in (recordings["steps"], with_options(recordings["steps"], action_gain=0.05)):
            caplog.clear()
            made = make(target, source).sources[1]
            np.testing.assert_allclose(
                0.05 * made.columns["action"] + made.columns["observation.state"],
                flat(np.cumsum(0.05 * commands(1), axis=1)),
                atol=1e-5,
            )
            assert ("as states and actions tell, and is used" in caplog.text) == (target.action_gain is None)
        with pytest.raises(ValueError, match=r"the target 'me/blurred'(?s:.*)--policy\.target_action_gain='\{x: 0\.0"):
            make(recordings["blurred"], source)

    def test_steps_beside_steps_are_brought_to_one_unit_where_both_are_declared(self, recordings, tmp_path, caplog):
        metres = write(tmp_path / "metres", 0.05 * commands(2), driven(commands(2), 0.05))
        assert "me/metres" not in caplog.text
        caplog.clear()
        same = make(recordings["steps"], with_options(recordings["blurred"], action_type="delta"))
        assert "unit" not in caplog.text and same.notes == []
        make(recordings["steps"], metres)
        assert "'me/metres': its steps seem to be in another unit than the target's" in caplog.text
        target = with_options(recordings["steps"], action_gain=0.05)
        source = make(target, with_options(metres, action_gain=1.0)).sources[1]
        np.testing.assert_allclose(source.columns["action"], flat(commands(2)), atol=1e-5)
        with pytest.raises(ValueError, match="action_gain on the source is missing"):
            make(target, with_options(metres, action_type="delta"))
        # An entry of the catalogue gives a gain where it is not 1.
        known = make(target, with_options(metres, action_type="delta", catalogue="mine/metres@00000000")).sources[1]
        np.testing.assert_array_equal(known.columns["action"], source.columns["action"])

    def test_an_entry_gives_gains_by_its_own_names(self, recordings, tmp_path):
        names = ["a", "b", "c"]
        config = write(tmp_path / "own", commands(), driven(commands(), 0.05), names, names)
        rules = {x: DimensionConfig(take=a) for x, a in zip(NAMES, names, strict=True)}
        said = {"dimensions": {"action": rules, "observation.state": rules}, "action_type": "delta"}
        said["action_gain"] = dict(zip(names, (0.05, 0.05, 0.05), strict=True))
        with pytest.raises(ValueError, match=r"\['a', 'b', 'c'\] are none of the target's dimensions"):
            make(recordings["places"], with_options(config, **said))
        made = make(recordings["places"], with_options(config, **said, catalogue="mine/own@00000000")).sources[1]
        moved = made.columns["action"] - made.columns["observation.state"]
        np.testing.assert_allclose(moved, 0.05 * flat(commands()), atol=1e-5)

    def test_states_of_another_order_are_found_by_name(self, recordings, tmp_path):
        turned = write(
            tmp_path / "turned", commands(), driven(commands(), 0.05)[..., [2, 0, 1]], state_names=["z", "x", "y"]
        )
        source = make(recordings["places"], with_options(turned, action_type="delta")).sources[1]
        straight = make(recordings["places"], with_options(recordings["steps"], action_type="delta")).sources[1]
        np.testing.assert_array_equal(source.columns["action"], straight.columns["action"])

    def test_positions_are_known_whatever_the_order_of_their_states(self, recordings, tmp_path):
        states = driven(commands(), 0.05)
        target = write(tmp_path / "turned", states, states[..., [2, 0, 1]], state_names=["z", "x", "y"])
        with pytest.raises(ValueError, match="its actions look delta, the target's"):
            make(target, recordings["steps"])

    def test_the_target_is_measured_once_for_all_sources(self, recordings, monkeypatch):
        measured = []
        monkeypatch.setattr(
            convert_actions, "measure_gain", lambda *given: measured.append(len(given[0])) or measure_gain(*given)
        )
        make(recordings["places"], *[with_options(recordings["steps"], action_type="delta")] * 3)
        assert len(measured) == 1 + 3

    def test_a_step_needs_a_state(self, recordings):
        rules = {"observation.state": {"x": {"fill": 0.0}}}
        config = with_options(recordings["steps"], action_type="delta")
        config.dimensions = {key: {n: DimensionConfig(**r) for n, r in rule.items()} for key, rule in rules.items()}
        with pytest.raises(ValueError, match=r"no state for \['x'\]; declare these absent in action"):
            make(recordings["places"], config)


def test_inspect_shows_the_gain(recordings, capsys):
    source = {"repo_id": "me/steps", "root": recordings["steps"].root, "sigma_min": 0.3}
    options = [
        *("inspect", "--policy.type=ambient_diffusion", "--policy.horizon=8", "--policy.n_action_steps=4"),
        *("--dataset.repo_id=me/places", f"--dataset.root={recordings['places'].root}"),
    ]
    gain = {"x": 0.05, "y": 0.05, "z": 0.05}
    assert main([*options, f"--policy.sources={json.dumps([source | {'action_gain': gain}])}"]) == 0
    assert "position = state + gain * step, gain 0.05" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("gain", "message"),
    [
        ({"x": 0.05}, r"must give one number for each of \['x', 'y'\]; \['y'\] are missing\."),
        ({"x": 1.0, "y": 1.0, "w": 1.0}, r"\['w'\] are none of the target's dimensions\."),
    ],
)
def test_a_declared_gain_names_every_step(gain, message):
    with pytest.raises(ValueError, match=message):
        declared_gain(gain, ["x", "y", "gripper"], np.array([False, False, True]), "'me/sim': action_gain")
    complete = declared_gain({"x": 2.0, "y": 3.0}, ["x", "y", "gripper"], np.array([False, False, True]), "")
    assert complete is not None and complete.tolist() == [2.0, 3.0, 1.0]


@pytest.mark.parametrize("gain", [0.0, float("nan"), float("inf"), {"x": 0.0}])
def test_a_gain_is_a_number_to_multiply_by(gain):
    with pytest.raises(ValueError, match="must be finite and not 0"):
        check_gain(gain, "action_gain")
    with pytest.raises(ValueError, match="me/sim': action_gain must be finite"):
        Source("me/sim", action_gain=gain)


def test_positions_have_no_gain():
    with pytest.raises(ValueError, match="action_gain is of steps, and its action_type is absolute"):
        Source("me/sim", action_gain=0.05, action_type="absolute")
    with pytest.raises(ValueError, match="remove one of them"):
        AmbientDiffusionConfig(target_action_gain=0.05, target_action_type="absolute")


@pytest.mark.parametrize("gain", [None, 0.05, {"x": 0.05, "y": 2.0}])
def test_a_checkpoint_keeps_the_gain(gain, tmp_path, caplog):
    caplog.set_level(logging.ERROR)
    config = AmbientDiffusionConfig(device="cpu", push_to_hub=False, target_action_gain=gain)
    config.sources = [Source("me/sim", sigma_min=0.3, action_gain=gain)]
    config.save_pretrained(tmp_path)
    again = AmbientDiffusionConfig.from_pretrained(tmp_path)
    assert (again.target_action_gain, again.sources[0].action_gain) == (gain, gain)
