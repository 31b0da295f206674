# SPDX-License-Identifier: Apache-2.0
"""Dimensions by name with units, other frame rates, own statistics, action types, cameras; and their refusals."""

import json
import logging
import re
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from diffusers.schedulers.scheduling_ddpm import DDPMScheduler
from hypothesis import given
from hypothesis import strategies as st
from lerobot.datasets.lerobot_dataset import LeRobotDataset

from lerobot_ambient.core.mixing import Cotrain
from lerobot_ambient.core.noise_levels import NoiseSchedule
from lerobot_ambient.data.alignment.action_type import guess_action_type, to_absolute, to_delta
from lerobot_ambient.data.alignment.feature_map import nearest_dimensions, resolve
from lerobot_ambient.data.batches.columns import Columns
from lerobot_ambient.data.declared.alignment import CameraConfig, DimensionConfig
from lerobot_ambient.data.declared.recipe import MixtureRecipe
from lerobot_ambient.data.declared.sources import Source
from lerobot_ambient.data.mixture import make_mixture
from lerobot_ambient.data.normalization.affine import affine_of
from lerobot_ambient.data.normalization.statistics import exact_stats
from lerobot_ambient.data.reading.open_dataset import ReadOptions
from lerobot_ambient.data.windows.windows_file import WindowTable, write_windows

SCHEDULE = NoiseSchedule.from_alphas_cumprod(DDPMScheduler(100, beta_schedule="squaredcos_cap_v2").alphas_cumprod)
OPTIONS = ReadOptions(observation_deltas=[-1, 0], action_deltas=list(range(-1, 7)))


def recipe(**kwargs):
    return MixtureRecipe(**{"schedule": SCHEDULE, "mixing": Cotrain(), "action_mode": "MIN_MAX"} | kwargs)


def numbers(names, dtype="float32"):
    return {"dtype": dtype, "shape": (len(names),), "names": list(names)}


@pytest.fixture
def target(target_root):
    return Source("me/target", root=str(target_root))


def make(target, *sources, options=OPTIONS, **kwargs):
    return make_mixture(target, list(sources), options, recipe(**kwargs))


class TestFeatureMap:
    def test_order_of_names_is_harmless(self):
        feature, problems = resolve("action", numbers("ab"), numbers("ba"), {})
        assert problems == []
        assert feature.apply(np.array([[1.0, 2.0]], dtype=np.float32)).tolist() == [[2.0, 1.0]]

    def test_further_source_dimensions_are_left_out(self):
        feature, problems = resolve("action", numbers("b"), numbers("abc"), {})
        assert problems == []
        assert feature.left_out == [0, 2]

    def test_features_without_names_match_by_place_only_at_equal_size(self):
        unnamed = {"dtype": "float32", "shape": (2,), "names": None}
        feature, problems = resolve("action", numbers("ab"), unnamed, {})
        assert problems == []
        assert feature.is_identity
        _, problems = resolve("action", unnamed, {"dtype": "float32", "shape": (3,), "names": None}, {})
        assert "no dimension for ['0', '1']" in problems[0]
        declared = {"0": DimensionConfig(take="2"), "1": DimensionConfig(take="0")}
        feature, problems = resolve("action", unnamed, {"dtype": "float32", "shape": (3,), "names": None}, declared)
        assert problems == []
        assert feature.take.tolist() == [2, 0]

    def test_scale_sign_offset_fill_and_mask(self):
        declared = {
            "a": DimensionConfig(take="x", scale=-2.0, offset=1.0),
            "b": DimensionConfig(fill=7.0),
            "c": DimensionConfig(mask=True),
        }
        feature, problems = resolve("action", numbers("abc"), numbers("yx"), declared)
        assert problems == []
        assert feature.apply(np.array([[9.0, 3.0]], dtype=np.float32)).tolist() == [[-5.0, 7.0, 0.0]]
        assert feature.masked.tolist() == [False, False, True]

    @given(
        st.permutations(list("abcdef")),
        st.lists(
            st.tuples(st.floats(0.01, 100.0), st.sampled_from([-1.0, 1.0]), st.floats(-100.0, 100.0)),
            min_size=3,
            max_size=3,
        ),
        st.integers(0, 2**31),
    )
    def test_it_round_trips(self, names, units, seed):
        declared = {
            target: DimensionConfig(take=name, scale=scale * sign, offset=offset)
            for target, name, (scale, sign, offset) in zip("xyz", names, units, strict=False)
        }
        feature, problems = resolve("action", numbers("xyz"), numbers(names), declared)
        assert problems == []
        values = np.random.default_rng(seed).uniform(-10, 10, (5, 6)).astype(np.float32)
        back = feature.invert(feature.apply(values))
        taken = feature.take.tolist()
        # float32 holds scale * x + offset to seven digits of the larger term.
        tolerance = 1e-5 * (1 + max(abs(o / s) for s, _, o in units))
        np.testing.assert_allclose(back[:, taken], values[:, taken], atol=tolerance)
        assert np.isnan(np.delete(back, taken, axis=1)).all()

    @pytest.mark.parametrize(
        ("declared", "message"),
        [
            ({"z": DimensionConfig(fill=0.0)}, r"dimensions names \['z'\], the target's are \['a', 'b'\]"),
            ({"a": DimensionConfig(take="q")}, r"no dimension for \['a \(take: q\)'\]"),
        ],
    )
    def test_declarations_that_name_nothing(self, declared, message):
        _, problems = resolve("action", numbers("ab"), numbers("ab"), declared)
        assert len(problems) == 1
        assert re.search(message, problems[0])

    def test_an_observation_is_not_masked(self):
        _, problems = resolve("observation.state", numbers("a"), numbers("a"), {"a": DimensionConfig(mask=True)})
        assert "'a' cannot be masked, an observation carries no loss; write fill instead" in problems[0]

    @pytest.mark.parametrize(
        ("kwargs", "message"),
        [
            ({"take": "a", "fill": 0.0}, "gives take and fill"),
            ({"fill": 0.0, "mask": True}, "gives fill and mask"),
            ({"scale": 0.0}, "scale not 0"),
            ({"offset": float("nan")}, "must be finite"),
            ({"fill": float("inf")}, "fill must be finite"),
            ({"interpolation": "cubic"}, "one of linear, nearest; got 'cubic'"),
        ],
    )
    def test_a_rule_that_contradicts_itself(self, kwargs, message):
        with pytest.raises(ValueError, match=message):
            DimensionConfig(**kwargs)

    def test_switches_are_found_by_name_and_by_value_and_can_be_declared(self):
        declared = {
            "d": DimensionConfig(interpolation="nearest"),
            "gripper.pos": DimensionConfig(interpolation="linear"),
        }
        names = ["a", "suction", "left_gripper", "d", "gripper.pos"]
        feature, _ = resolve("action", numbers(names), numbers(names), declared)
        values = np.random.default_rng(0).normal(size=(50, 5)).astype(np.float32)
        values[:, 1] = values[:, 1] > 0
        assert nearest_dimensions(feature, values).tolist() == [False, True, True, True, False]


class TestResampling:
    """Against the analytic bound of linear interpolation: h^2 / 8 max |f''|."""

    def columns(self, values, lengths, rate, deltas, nearest=None):
        stops = torch.tensor(lengths).cumsum(0)
        starts = stops - torch.tensor(lengths)
        return Columns(
            {"action": values},
            starts,
            stops,
            {"action": deltas},
            rates=torch.full((len(lengths),), rate, dtype=torch.float64),
            nearest=None if nearest is None else {"action": torch.tensor([nearest])},
        )

    @pytest.mark.parametrize("source_fps", [5, 12.5, 20, 30, 50])
    def test_a_sine_errs_below_the_bound_of_linear_interpolation(self, source_fps):
        target_fps, omega, n = 15.0, 2 * np.pi * 0.7, 400
        time = torch.arange(n, dtype=torch.float64) / source_fps
        values = torch.sin(omega * time).float().unsqueeze(1)
        columns = self.columns(values, [n], source_fps / target_fps, list(range(-1, 15)))
        rows = torch.arange(n)
        batch = columns.gather(rows)
        exact = torch.sin(omega * (time[:, None] + torch.arange(-1, 15, dtype=torch.float64) / target_fps))
        error = (batch["action"][..., 0].double() - exact).abs()[~batch["action_is_pad"]]
        assert error.max() <= (omega / source_fps) ** 2 / 8 + 1e-6
        assert error.max() > 0.0

    def test_padding_is_where_time_leaves_the_episode(self):
        columns = self.columns(torch.arange(20.0).unsqueeze(1), [10, 10], 2.0, [-1, 0, 1, 4, 5])
        batch = columns.gather(torch.tensor([0, 1, 9, 10]))
        assert batch["action_is_pad"].tolist() == [
            [True, False, False, False, True],
            [True, False, False, False, True],
            [False, False, True, True, True],
            [True, False, False, False, True],
        ]
        assert batch["action"][0, :, 0].tolist() == [0.0, 0.0, 2.0, 8.0, 9.0]
        assert batch["action"][3, :, 0].tolist() == [10.0, 10.0, 12.0, 18.0, 19.0]

    def test_a_switch_keeps_its_values(self):
        values = torch.stack([torch.arange(10.0), (torch.arange(10) >= 5).float()], dim=1)
        columns = self.columns(values, [10], 0.5, list(range(8)), nearest=[False, True])
        chunk = columns.gather(torch.tensor([3]))["action"][0]
        assert chunk[:, 0].tolist() == [3.0, 3.5, 4.0, 4.5, 5.0, 5.5, 6.0, 6.5]
        assert chunk[:, 1].tolist() == [0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0, 1.0]

    @given(
        st.lists(st.integers(1, 12), min_size=1, max_size=6),
        st.integers(1, 12),
        st.sampled_from([5, 10, 15, 20, 30, 60]),
        st.sampled_from([10, 15, 30]),
        st.integers(0, 2**31),
    )
    def test_any_chunk_stays_in_its_episode_and_between_its_neighbours(self, lengths, horizon, fps, target_fps, seed):
        generator = torch.Generator().manual_seed(seed)
        n = sum(lengths)
        # The whole part of a value names its episode: leaving it would show.
        episode = torch.repeat_interleave(torch.arange(len(lengths)), torch.tensor(lengths))
        values = (10.0 * episode + torch.rand(n, generator=generator)).unsqueeze(1)
        columns = self.columns(values, lengths, fps / target_fps, list(range(-1, horizon)))
        batch = columns.gather(torch.arange(n))
        assert torch.equal((batch["action"][..., 0] / 10.0).floor().long(), episode[:, None].expand(-1, horizon + 1))
        assert not batch["action_is_pad"][:, 1].any()
        if fps == target_fps:
            at = (torch.arange(n)[:, None] + torch.arange(-1, horizon)).clamp(
                columns.starts[episode][:, None], columns.stops[episode][:, None] - 1
            )
            assert torch.equal(batch["action"], values[at])


class TestMerge:
    def test_a_source_at_twice_the_rate_gives_the_targets_clock(self, target, tmp_path, write_dataset):
        root = write_dataset(tmp_path / "fast", "me/fast", [40], seed=3, fps=20)
        mixture = make(target, Source("me/fast", root=str(root), sigma_min=0.3))
        item = mixture.dataset[44 + 10]
        own = mixture.sources[1].columns["action"]
        torch.testing.assert_close(item["action"].numpy(), own[[8, 10, 12, 14, 16, 18, 20, 22]])
        assert item["frame_index"] == 10

    def test_declared_fps_replays_at_another_speed(self, target, source_root):
        half = Source("me/sim", root=str(source_root), sigma_min=0.3, fps=5.0)
        mixture = make(target, half)
        own = mixture.sources[1].columns["action"]
        expected = (own[10] + own[11]) / 2
        torch.testing.assert_close(mixture.dataset[44 + 10]["action"][2].numpy(), expected)

    def test_the_tail_that_is_dropped_is_counted_in_the_targets_time(self, target, tmp_path, write_dataset):
        root = write_dataset(tmp_path / "fast", "me/fast", [40], fps=20)
        mixture = make(target, Source("me/fast", root=str(root), sigma_min=0.3), drop_n_last_frames=3)
        assert mixture.plan.groups[1].count == 40 - 6

    def test_own_statistics_fill_the_normalised_range(self, target, tmp_path, write_dataset):
        root = write_dataset(tmp_path / "big", "me/big", [60, 40], seed=4, spread=50.0)
        for mode, state_mode in (("MIN_MAX", "MEAN_STD"), ("MEAN_STD", "MIN_MAX"), ("QUANTILES", "QUANTILES")):
            mixture = make(
                target,
                Source("me/big", root=str(root), sigma_min=0.3, normalization="own"),
                action_mode=mode,
                state_mode=state_mode,
            )
            for key, one in (("action", mode), ("observation.state", state_mode)):
                offset, scale = affine_of(mixture.meta.stats[key], one)
                normalised = (mixture.sources[1].columns[key] - offset) / scale
                own = exact_stats(normalised)
                if one == "MIN_MAX":
                    np.testing.assert_allclose(own["min"], -1.0, atol=1e-4)
                    np.testing.assert_allclose(own["max"], 1.0, atol=1e-4)
                elif one == "MEAN_STD":
                    np.testing.assert_allclose(own["mean"], 0.0, atol=1e-4)
                    np.testing.assert_allclose(own["std"], 1.0, atol=1e-4)
                else:
                    np.testing.assert_allclose(own["q01"], -1.0, atol=1e-4)
                    np.testing.assert_allclose(own["q99"], 1.0, atol=1e-4)

    def test_own_statistics_of_a_constant_dimension_sit_in_the_middle(self, target, tmp_path, write_dataset):
        root = write_dataset(tmp_path / "still", "me/still", [30], constant_dim=1)
        mixture = make(target, Source("me/still", root=str(root), sigma_min=0.3, normalization="own"))
        stats = mixture.meta.stats["action"]
        middle = (stats["min"][1] + stats["max"][1]) / 2
        np.testing.assert_allclose(mixture.sources[1].columns["action"][:, 1], middle, rtol=1e-5)

    def test_own_statistics_and_relative_chunks_are_refused(self, target, source_root):
        own = Source("me/sim", root=str(source_root), sigma_min=0.3, normalization="own")
        with pytest.raises(
            ValueError, match=r"'me/sim': normalization: own cannot be combined with .*relative_actions"
        ):
            make(target, own, relative_actions=True)

    def test_windows_of_an_own_source_are_relative_to_its_own_statistics(self, target, source_root, tmp_path):
        path = tmp_path / "windows.parquet"
        own = make(target, Source("me/sim", root=str(source_root), sigma_min=0.3, normalization="own"))
        source = own.sources[1]

        def table(normalization):
            return WindowTable(
                "me/sim",
                source.columns["episode_index"].astype(np.int64),
                source.columns["frame_index"].astype(np.int64),
                np.full(85, 0.3, dtype=np.float32),
                np.zeros(85, dtype=np.float32),
                normalization,
                "manual",
            )

        write_windows(table(own.normalization), path)
        config = Source("me/sim", root=str(source_root), windows=str(path), normalization="own")
        with pytest.raises(ValueError, match="annotated under another normalisation"):
            make(target, config)

    def test_masked_dimensions_are_told_to_the_policy(self, target, tmp_path, write_dataset):
        root = write_dataset(tmp_path / "one", "me/one", [20], dims=1)
        declared = {
            "action": {"joint_1": DimensionConfig(mask=True)},
            "observation.state": {"joint_1": DimensionConfig(fill=0.25)},
        }
        mixture = make(target, Source("me/one", root=str(root), sigma_min=0.3, dimensions=declared))
        assert mixture.action_mask.tolist() == [[True, True], [True, False]]
        assert (mixture.dataset[50]["observation.state"][:, 1] == 0.25).all()
        assert make(target).action_mask is None

    def test_a_feature_the_source_lacks_whole_can_be_filled(self, target, tmp_path, write_dataset):
        root = write_dataset(tmp_path / "blind", "me/blind", [20], env_state=False)
        declared = {"observation.environment_state": {str(i): DimensionConfig(fill=float(i)) for i in range(3)}}
        mixture = make(target, Source("me/blind", root=str(root), sigma_min=0.3, dimensions=declared))
        assert mixture.dataset[50]["observation.environment_state"].tolist() == [[0.0, 1.0, 2.0]] * 2

    def test_keys_that_the_target_lacks_are_refused(self, target, source_root):
        for kwargs, message in (
            ({"dimensions": {"actoin": {}}}, "dimensions names 'actoin', the target's numeric features are"),
            ({"cameras": {"front": CameraConfig(fill=0.0)}}, r"cameras names 'front', the target's cameras are \[\]"),
        ):
            with pytest.raises(ValueError, match=message):
                make(target, Source("me/sim", root=str(source_root), sigma_min=0.3, **kwargs))

    @pytest.mark.parametrize(
        ("kwargs", "message"),
        [
            ({"normalization": "mine"}, "normalization must be one of target, own; got 'mine'"),
            ({"action_type": "velocity"}, "action_type must be one of absolute, delta; got 'velocity'"),
            ({"fps": 0.0}, "fps must be positive and finite, got 0.0"),
        ],
    )
    def test_source_options_are_checked(self, kwargs, message):
        with pytest.raises(ValueError, match=f"source 'me/sim': {message}"):
            Source("me/sim", **kwargs)


class TestActionType:
    @pytest.fixture
    def recording(self):
        rng = np.random.default_rng(0)
        state = np.cumsum(rng.normal(size=(400, 3)), axis=0).astype(np.float32)
        episode = np.repeat(np.arange(4), 100)
        return state, episode

    def test_positions_and_steps_are_told_apart(self, recording):
        state, episode = recording
        following = np.roll(state, -1, axis=0)
        assert guess_action_type(following, state, episode) == "absolute"
        assert guess_action_type(following - state, state, episode) == "delta"
        assert guess_action_type(np.random.default_rng(1).normal(size=(400, 3)), state, episode) is None
        assert guess_action_type(np.zeros((400, 3)), state, episode) is None

    def test_the_two_conversions_are_inverses(self, recording):
        state, _ = recording
        action = state + 1.5
        np.testing.assert_allclose(to_absolute(to_delta(action, state), state), action, rtol=1e-6)

    @pytest.fixture
    def delta_root(self, tmp_path, write_dataset):
        """me/steps: the numbers of a recording, its actions turned into steps on disk."""
        root = write_dataset(tmp_path / "steps", "me/steps", [60, 60], seed=9)
        (path,) = (root / "data").rglob("*.parquet")
        table = pq.read_table(path)
        action, state = (np.stack(table[key].to_pylist()) for key in ("action", "observation.state"))
        steps = pa.array((action - state).tolist(), type=table.schema.field("action").type)
        pq.write_table(
            table.set_column(table.schema.get_field_index("action"), table.schema.field("action"), steps), path
        )
        return root

    def test_steps_beside_positions_are_refused_unless_declared(self, target, delta_root, tmp_path, write_dataset):
        steps = Source("me/steps", root=str(delta_root), sigma_min=0.3)
        message = (
            r"'me/steps': its actions look delta, the target's \('me/target'\) absolute\. Declare `action_type: delta`"
        )
        with pytest.raises(ValueError, match=message):
            make(target, steps)

    def test_declared_steps_become_positions(self, target, delta_root, tmp_path, write_dataset):
        plain = write_dataset(tmp_path / "plain", "me/plain", [60, 60], seed=9)
        expected = make(target, Source("me/plain", root=str(plain), sigma_min=0.3))
        declared = make(target, Source("me/steps", root=str(delta_root), sigma_min=0.3, action_type="delta"))
        np.testing.assert_allclose(
            declared.sources[1].columns["action"], expected.sources[1].columns["action"], atol=1e-5
        )

    def test_the_zero_of_a_unit_is_not_added_to_a_step(self, target, delta_root, tmp_path, write_dataset):
        plain = write_dataset(tmp_path / "plain", "me/plain", [60, 60], seed=9)
        rule = {"joint_0": DimensionConfig(scale=2.0, offset=5.0)}
        shared = {"sigma_min": 0.3, "dimensions": {"action": rule, "observation.state": rule}}
        expected = make(target, Source("me/plain", root=str(plain), **shared))
        steps = make(target, Source("me/steps", root=str(delta_root), action_type="delta", **shared))
        np.testing.assert_allclose(steps.sources[1].columns["action"], expected.sources[1].columns["action"], atol=1e-4)

    def test_switches_stay_positions(self, target, delta_root):
        rule = {"action": {"joint_1": DimensionConfig(interpolation="nearest")}}
        taken = {"action_type": "absolute", "sigma_min": 0.3}
        as_is = make(target, Source("me/steps", root=str(delta_root), **taken)).sources[1].columns["action"]
        steps = Source("me/steps", root=str(delta_root), action_type="delta", sigma_min=0.3, dimensions=rule)
        action = make(target, steps).sources[1].columns["action"]
        assert np.array_equal(action[:, 1], as_is[:, 1])
        assert not np.array_equal(action[:, 0], as_is[:, 0])

    def test_steps_of_another_rate_are_scaled_to_their_time(self, delta_root, tmp_path, write_dataset):
        target_root = shutil.copytree(delta_root, tmp_path / "target")
        target = Source("me/t", root=str(target_root), episodes=[0])
        half = Source("me/steps", root=str(delta_root), sigma_min=0.3, fps=5.0)
        same = Source("me/steps", root=str(delta_root), sigma_min=0.3)
        slow, plain = (make(target, source).sources[1].columns["action"] for source in (half, same))
        np.testing.assert_allclose(slow, plain / 2, rtol=1e-6)

    def test_declared_absolute_is_taken_as_it_is(self, target, delta_root):
        declared = make(target, Source("me/steps", root=str(delta_root), sigma_min=0.3, action_type="absolute"))
        assert abs(declared.sources[1].columns["action"]).max() < 6


class TestStatistics:
    def rewrite(self, root, change):
        path = root / "meta" / "stats.json"
        stats = json.loads(path.read_text())
        change(stats)
        path.write_text(json.dumps(stats))

    def test_statistics_that_fit_are_kept_to_the_bit(self, target):
        mixture = make(target)
        own = mixture.sources[0].meta.stats["action"]
        for name in ("min", "max", "mean", "std"):
            assert np.array_equal(mixture.meta.stats["action"][name], own[name])

    def test_quantiles_are_those_of_the_data(self, target):
        mixture = make(target)
        action = mixture.sources[0].columns["action"]
        np.testing.assert_allclose(mixture.meta.stats["action"]["q10"], np.quantile(action, 0.1, axis=0), rtol=1e-6)

    @pytest.mark.parametrize("name", ["min", "max", "mean", "std"])
    def test_statistics_of_other_data_are_computed_anew_and_said(self, name, tmp_path, write_dataset, caplog):
        root = write_dataset(tmp_path / "t", "me/t", [30, 20])

        def change(stats):
            stats["action"][name][1] = stats["action"][name][1] + 3.0

        self.rewrite(root, change)
        with caplog.at_level(logging.WARNING):
            mixture = make(Source("me/t", root=str(root)))
        exact = exact_stats(mixture.sources[0].columns["action"])
        np.testing.assert_allclose(mixture.meta.stats["action"][name], exact[name])
        assert f"action: stats.json does not fit the data of 'me/t' ({name} of dimension 1 is" in caplog.text

    def test_statistics_of_more_episodes_are_kept_for_a_selection(self, target_root):
        mixture = make(Source("me/target", root=str(target_root), episodes=[1]))
        own = mixture.sources[0].meta.stats["action"]
        assert np.array_equal(mixture.meta.stats["action"]["min"], own["min"])

    def test_missing_statistics_are_computed(self, tmp_path, write_dataset, caplog):
        root = write_dataset(tmp_path / "t", "me/t", [30])
        self.rewrite(root, lambda stats: stats.pop("action"))
        with caplog.at_level(logging.WARNING):
            mixture = make(Source("me/t", root=str(root)))
        assert "it has no min" in caplog.text
        assert mixture.normalization.scale[0] > 0


def test_real_recordings_of_two_robots_merge(shared_data):
    joints = ["shoulder_pan", "shoulder_lift", "elbow_flex", "wrist_flex", "wrist_roll"]
    rules = {
        f"{name}.pos": DimensionConfig(take=f"right.joint_{i + 1}.pos", scale=57.3) for i, name in enumerate(joints)
    }
    rules["gripper.pos"] = DimensionConfig(take="right_hand.joint_1.pos", interpolation="linear")
    source = Source(
        "x/bimanual_hands",
        root=str(shared_data / "bimanual_hands"),
        sigma_min=0.4,
        rename={"actions": "action", "state": "observation.state"},
        dimensions={"action": rules, "observation.state": rules},
        normalization="own",
    )
    mixture = make(Source("x/so101_teleop", root=str(shared_data / "so101_teleop")), source)
    batch = mixture.dataset.gather(list(range(0, len(mixture.dataset), 97)))
    assert batch["action"].shape[1:] == (8, 6)
    assert torch.isfinite(batch["action"]).all()
    low, high = (torch.from_numpy(np.asarray(mixture.meta.stats["action"][k])).float() for k in ("min", "max"))
    ours = torch.from_numpy(mixture.sources[1].columns["action"])
    assert (ours >= low - 1e-3).all()
    assert (ours <= high + 1e-3).all()


def test_an_observation_the_policy_does_not_read_is_left_out_where_a_source_lacks_it(target_root, tmp_path, caplog):
    axis = ["joint_0", "joint_1"]
    features = {
        key: {"dtype": "float32", "shape": (2,), "names": axis}
        for key in ("action", "observation.state", "observation.velocity")
    }
    rich = LeRobotDataset.create("me/rich", fps=10, features=features, root=tmp_path / "rich", use_videos=False)
    rng = np.random.default_rng(0)
    for _ in range(12):
        rich.add_frame({key: rng.normal(size=2).astype(np.float32) for key in features} | {"task": "go"})
    rich.save_episode()
    rich.finalize()
    target = Source("me/rich", root=str(tmp_path / "rich"))
    with caplog.at_level(logging.INFO):
        mixture = make(target, Source("me/target", root=str(target_root), sigma_min=0.3))
    assert "observation.velocity" not in mixture.meta.features
    assert "observation.velocity is not in every dataset and is left out" in caplog.text
    assert "observation.velocity" in make(target).meta.features


def test_a_windows_file_made_under_a_sources_own_statistics_is_accepted(target, tmp_path, write_dataset):
    root = write_dataset(tmp_path / "still", "me/still", [30], constant_dim=1, spread=9.0)
    own = {"root": str(root), "normalization": "own"}
    first = make(target, Source("me/still", sigma_min=0.3, **own))
    columns = first.sources[1].columns
    table = WindowTable(
        "me/still",
        columns["episode_index"],
        columns["frame_index"],
        np.full(30, 0.4, dtype=np.float32),
        np.zeros(30, dtype=np.float32),
        first.normalizations[1],
        "manual",
    )
    write_windows(table, tmp_path / "windows.parquet")
    mixture = make(target, Source("me/still", windows=str(tmp_path / "windows.parquet"), **own))
    assert mixture.plan.groups[1].window.sigma_min == pytest.approx(0.4)
    with pytest.raises(ValueError, match=r"'me/still': its windows file is neither .*nowhere\.parquet"):
        make(target, Source("me/still", windows="nowhere.parquet", **own))


def test_a_changed_map_of_observations_changes_the_fingerprint(target, source_root):
    def line(**rule):
        declared = {"observation.state": {"joint_0": DimensionConfig(**rule)}}
        source = Source("me/sim", root=str(source_root), sigma_min=0.3, dimensions=declared)
        return make(target, source).fingerprint[1]

    assert line(scale=2.0) == line(scale=2.0)
    assert line(scale=2.0) != line(scale=3.0)
