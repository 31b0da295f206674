# SPDX-License-Identifier: Apache-2.0
"""What a mixture refuses, and what it makes of windows, statistics and fingerprints."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from diffusers.schedulers.scheduling_ddpm import DDPMScheduler

from lerobot_ambient.core.mixing import Ambient, Cotrain, Soft, TargetOnly
from lerobot_ambient.core.noise_levels import NoiseSchedule
from lerobot_ambient.data.batches.merged_dataset import GROUP_KEY
from lerobot_ambient.data.declared.recipe import MixtureRecipe
from lerobot_ambient.data.declared.sources import Source
from lerobot_ambient.data.mixture import make_mixture
from lerobot_ambient.data.normalization.affine import RELATIVE_ACTION, ActionNormalization
from lerobot_ambient.data.provenance.fingerprint import require_same_mixture
from lerobot_ambient.data.reading.open_dataset import ReadOptions
from lerobot_ambient.data.windows.windows_file import WINDOWS_PATH, WindowTable, read_windows, write_windows

SCHEDULE = NoiseSchedule.from_alphas_cumprod(DDPMScheduler(100, beta_schedule="squaredcos_cap_v2").alphas_cumprod)
OPTIONS = ReadOptions(observation_deltas=[-1, 0], action_deltas=list(range(-1, 7)))


def recipe(**kwargs):
    return MixtureRecipe(**{"schedule": SCHEDULE, "mixing": Ambient(None), "action_mode": "MIN_MAX"} | kwargs)


@pytest.fixture
def target(target_root):
    return Source("me/target", root=str(target_root))


@pytest.fixture
def sim(source_root):
    return Source("me/sim", root=str(source_root), sigma_min=0.3)


class TestRefusals:
    def refuse(self, target, sources, message, **kwargs):
        with pytest.raises(ValueError, match=message):
            make_mixture(target, sources, OPTIONS, recipe(**kwargs))

    def test_unknown_root(self, target, tmp_path):
        nowhere = Source("me/nowhere", root=str(tmp_path / "nowhere"), sigma_min=0.3)
        self.refuse(
            target, [nowhere], r"^dataset 'me/nowhere': no LeRobot dataset in root .*: there is no such folder.*"
        )
        assert not (tmp_path / "nowhere").exists()

    def test_a_folder_of_datasets_is_answered_with_those_in_it(self, target, target_root, tmp_path):
        parent = target_root.parent
        above = Source("me/sim", root=str(parent), sigma_min=0.3)
        self.refuse(target, [above], rf"root {parent}: it has no meta/, but .*{target_root}.* ha(s|ve)\. .*as `root`")
        (tmp_path / "empty").mkdir()
        self.refuse(target, [Source("me/sim", root=str(tmp_path / "empty"), sigma_min=0.3)], r"no meta/\. Check")

    def test_unknown_repo(self, target, monkeypatch, tmp_path):
        self.refuse(target, [Source("me/never-heard-of-it", sigma_min=0.3)], "'me/never-heard-of-it' .*was not found")

    def test_empty_unknown_negative_and_repeated_episodes(self, target, source_root):
        for episodes, message in (
            ([], "'me/sim': the list of episodes is empty"),
            ([-1], "'me/sim': episode -1 is negative"),
            ([1, 1], r"'me/sim': episodes \[1\] are listed more than once"),
        ):
            with pytest.raises(ValueError, match=message):
                Source("me/sim", root=str(source_root), episodes=episodes, sigma_min=0.3)
        wrong = Source("me/sim", root=str(source_root), episodes=[2, 4], sigma_min=0.3)
        self.refuse(target, [wrong], r"'me/sim' has 4 episodes \(0 to 3\), not \[4\]")

    def test_the_target_among_the_sources(self, target, target_root):
        same = Source("me/elsewhere-named", root=str(target_root), episodes=[1, 2], sigma_min=0.3)
        self.refuse(replace(target, episodes=[0, 2]), [same], r"target is among the sources.*episodes \[2\]")

    @pytest.mark.parametrize("field", ["sigma_min", "sigma_max"])
    @pytest.mark.parametrize("value", [-0.1, 1.1])
    def test_levels_outside_the_unit_interval(self, field, value):
        with pytest.raises(ValueError, match=rf"source 'me/sim': {field} = {value} is outside \[0, 1\]"):
            Source("me/sim", **{field: value})

    def test_a_window_that_admits_nothing(self, target, source_root):
        with pytest.raises(ValueError, match="'me/sim': its window admits nothing"):
            Source("me/sim", sigma_min=1.0)
        # The schedule's lowest level is 0.025: below it there is no timestep.
        low = Source("me/sim", root=str(source_root), sigma_max=0.02)
        self.refuse(target, [low], "'me/sim' is never drawn: its window admits none of the 100 timesteps")

    def test_no_window_where_the_mixing_acts_on_them(self, target, sim):
        bare = replace(sim, sigma_min=None)
        self.refuse(target, [bare], r"'me/sim' declares no window.*`sigma_min: 0.3`")
        for mixing in (Cotrain(), TargetOnly(), Soft.linear(1.0, 0.1)):
            make_mixture(target, [bare], OPTIONS, recipe(mixing=mixing))

    def test_window_given_twice(self):
        with pytest.raises(ValueError, match=r"both a windows file \(w.parquet\) and sigma_min=0.1"):
            Source("me/sim", windows="w.parquet", sigma_min=0.1)

    def test_renames_that_do_not_fit(self, target, source_root):
        unknown = Source("me/sim", root=str(source_root), sigma_min=0.3, rename={"actions": "action"})
        self.refuse(target, [unknown], r"'me/sim': rename names \['actions'\], but the dataset's keys are")
        onto = Source("me/sim", root=str(source_root), sigma_min=0.3, rename={"action": "observation.state"})
        self.refuse(target, [onto], r"rename maps \['observation.state', 'action'\] both to 'observation.state'")

    def test_schemas_that_differ_are_shown_with_both_sides(self, target, tmp_path, write_dataset):
        cases = {
            "shape": ({"dims": 1}, r"action: the source has no dimension for \['joint_1'\]"),
            "names": (
                {"names": ["elbow", "wrist"]},
                r"no dimension for \['joint_0', 'joint_1'\].*target: \['joint_0', 'joint_1'\].*source: \['elbow', "
                r"'wrist'\].*dimensions: {action: {joint_0: {take: elbow}}}.*inspect --suggest",
            ),
            "missing": ({"keys": {"action": "actions"}}, r"action: missing in the source \(it has \['actions'\]\)"),
            "env": ({"env_state": False}, "observation.environment_state: missing in the source"),
        }
        for name, (kwargs, message) in cases.items():
            root = write_dataset(tmp_path / name, f"me/{name}", [9], **kwargs)
            other = Source(f"me/{name}", root=str(root), sigma_min=0.3)
            self.refuse(target, [other], rf"(?s)source 'me/{name}' does not fit the target 'me/target'.*{message}")

    def test_episodes_too_short_to_start_a_sample(self, target, sim):
        self.refuse(
            target, [sim], r"'me/target': no frame is left .*longest episode has 20 frames", drop_n_last_frames=20
        )

    def test_weights(self):
        for weight in (0.0, -1.0, float("inf")):
            with pytest.raises(ValueError, match="'me/sim': weight must be positive and finite"):
                Source("me/sim", weight=weight)

    def test_a_nameless_source(self):
        with pytest.raises(ValueError, match="a source needs a repo_id"):
            Source()


class TestWindowsFile:
    def normalization(self, target):
        return make_mixture(target, [], OPTIONS, recipe()).normalization

    def table(self, target, sim_root, low=0.1, high=0.9, **changes):
        lengths = [30, 12, 25, 18]
        episode = np.repeat(np.arange(4), lengths)
        frame = np.concatenate([np.arange(n) for n in lengths])
        values = {
            "repo_id": "me/sim",
            "episode_index": episode,
            "frame_index": frame,
            "sigma_min": np.linspace(low, high, 85, dtype=np.float32),
            "sigma_max": np.zeros(85, dtype=np.float32),
            "normalization": self.normalization(target),
            "method": "test",
        }
        return WindowTable(**values | changes)

    def test_round_trip(self, target, source_root, tmp_path):
        curves = np.random.default_rng(0).random((85, 3)).astype(np.float32)
        table = self.table(target, source_root, tau=0.05, sigmas=(0.1, 0.5, 0.9), p=curves, revision="abc")
        write_windows(table, tmp_path / "w.parquet")
        again = read_windows(tmp_path / "w.parquet")
        assert again.normalization == table.normalization
        assert (again.method, again.tau, again.sigmas, again.revision) == ("test", 0.05, (0.1, 0.5, 0.9), "abc")
        for name in ("episode_index", "frame_index", "sigma_min", "sigma_max", "p"):
            assert np.array_equal(getattr(again, name), getattr(table, name)), name
        assert list(tmp_path.iterdir()) == [tmp_path / "w.parquet"]

    def test_each_frame_gets_its_own_window(self, target, source_root, tmp_path):
        table = self.table(target, source_root)
        write_windows(table, tmp_path / "w.parquet")
        config = Source("me/sim", root=str(source_root), windows=str(tmp_path / "w.parquet"), episodes=[1, 3])
        mixture = make_mixture(target, [config], OPTIONS, recipe())
        rows = np.flatnonzero(np.isin(table.episode_index, [1, 3]))
        assert len(mixture.plan.groups) > 5
        for i, row in enumerate(rows):
            group = int(mixture.dataset[44 + i]["info"][GROUP_KEY])
            admitted = mixture.plan.joint[group] > 0
            assert torch.equal(admitted, SCHEDULE.sigmas > float(table.sigma_min[row]))
        # The sampler's groups hold exactly those frames.
        for g in range(1, len(mixture.plan.groups)):
            rank = np.arange(mixture.frames.counts[g])
            for position in mixture.frames.frame(np.full_like(rank, g), rank):
                assert mixture.dataset[int(position)]["info"][GROUP_KEY] == g

    def test_found_in_the_data_sets_own_folder(self, target, tmp_path, write_dataset):
        root = write_dataset(tmp_path / "sim", "me/sim", [30, 12, 25, 18], seed=2)
        write_windows(self.table(target, root, low=0.4, high=0.4), root / WINDOWS_PATH)
        config = Source("me/sim", root=str(root), windows=WINDOWS_PATH)
        assert len(make_mixture(target, [config], OPTIONS, recipe()).plan.groups) == 2

    def test_another_normalisation_is_refused_with_both_values(self, target, source_root, tmp_path):
        mine = self.normalization(target)
        others = {
            "mode is MEAN_STD there and MIN_MAX here": replace(mine, mode="MEAN_STD"),
            "relative is True there and False here": replace(mine, relative=True),
            "horizon is 16 there and 8 here": replace(mine, horizon=16),
            "scale of action dimension 1 is": replace(mine, scale=(mine.scale[0], 2 * mine.scale[1])),
            "3 action dimensions there and 2 here": replace(mine, offset=(0.0,) * 3),
        }
        for message, normalization in others.items():
            write_windows(self.table(target, source_root, normalization=normalization), tmp_path / "w.parquet")
            config = Source("me/sim", root=str(source_root), windows=str(tmp_path / "w.parquet"))
            with pytest.raises(ValueError, match=f"'me/sim': .*under another normalisation: .*{message}"):
                make_mixture(target, [config], OPTIONS, recipe())

    def test_missing_frames_are_named(self, target, source_root, tmp_path):
        whole = self.table(target, source_root)
        keep = whole.episode_index != 2
        part = replace(
            whole,
            **{n: getattr(whole, n)[keep] for n in ("episode_index", "frame_index", "sigma_min", "sigma_max")},
        )
        write_windows(part, tmp_path / "w.parquet")
        config = Source("me/sim", root=str(source_root), windows=str(tmp_path / "w.parquet"))
        with pytest.raises(ValueError, match="lack 25 of 85 frames, the first is frame 0 of episode 2"):
            make_mixture(target, [config], OPTIONS, recipe())

    def test_bad_tables(self, target, source_root, tmp_path):
        with pytest.raises(ValueError, match=r"sigma_min = 300.0 \(episode 0, frame 0\) is outside"):
            self.table(target, source_root, sigma_min=np.full(85, 300.0, dtype=np.float32))
        with pytest.raises(ValueError, match="columns differ in length"):
            self.table(target, source_root, sigma_max=np.zeros(3, dtype=np.float32))
        with pytest.raises(ValueError, match="episode 0, frame 0 twice"):
            self.table(target, source_root, frame_index=np.zeros(85, dtype=np.int64))
        not_windows = source_root / "meta" / "tasks.parquet"
        with pytest.raises(ValueError, match="is no windows file"):
            read_windows(not_windows)


class TestStatistics:
    def test_relative_chunks_by_hand(self, target):
        mixture = make_mixture(target, [], OPTIONS, recipe(relative_actions=True, drop_n_last_frames=2))
        columns = mixture.dataset.columns.columns
        action, state = (columns[k] for k in ("action", "observation.state"))
        values = [
            action[i + k] - state[i]
            for low, high in ((0, 20), (20, 29), (29, 44))
            for i in range(low, high - 2)
            for k in range(-1, 7)
            if low <= i + k < high
        ]
        stacked = torch.stack(values)
        stats = mixture.meta.stats[RELATIVE_ACTION]
        torch.testing.assert_close(stats["min"], stacked.amin(0))
        torch.testing.assert_close(stats["max"], stacked.amax(0))
        torch.testing.assert_close(stats["mean"], stacked.mean(0), rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(stats["std"], stacked.std(0, correction=0), rtol=1e-4, atol=1e-5)
        assert mixture.normalization.relative
        assert len(action) == 44

    def test_a_dimension_constant_in_the_target_only_gets_range_one(self, target, sim, tmp_path, write_dataset):
        still = write_dataset(tmp_path / "still", "me/still", [12, 12], constant_dim=1)
        config = Source("me/still", root=str(still))
        alone = make_mixture(config, [], OPTIONS, recipe()).meta.stats["action"]
        mixed = make_mixture(config, [sim], OPTIONS, recipe()).meta.stats["action"]
        assert alone["min"][1] == alone["max"][1] == 0.5
        assert (mixed["min"][1], mixed["max"][1], mixed["std"][1]) == (0.0, 1.0, 1.0)
        assert (mixed["min"][0], mixed["max"][0]) == (alone["min"][0], alone["max"][0])

    def test_normalization_survives_its_dictionary(self, target):
        normalization = make_mixture(target, [], OPTIONS, recipe()).normalization
        assert ActionNormalization.from_dict(normalization.to_dict()) == normalization
        assert normalization.difference(normalization) is None


class TestFingerprint:
    def test_same_recipe_same_lines_and_every_change_shows(self, target, sim):
        lines = make_mixture(target, [sim], OPTIONS, recipe()).fingerprint
        assert make_mixture(target, [sim], OPTIONS, recipe()).fingerprint == lines
        require_same_mixture(lines, lines)
        for change in ({"sigma_min": 0.31}, {"episodes": [0, 1, 2]}, {"weight": 2.0}):
            changed = make_mixture(target, [replace(sim, **change)], OPTIONS, recipe()).fingerprint
            with pytest.raises(ValueError, match=r"(?s)checkpoint: me/sim: 4 episodes.*now:        me/sim:"):
                require_same_mixture(lines, changed)

    def test_another_mixing_shows_too(self, target, sim):
        lines = make_mixture(target, [sim], OPTIONS, recipe()).fingerprint
        changed = make_mixture(target, [sim], OPTIONS, recipe(mixing=Ambient(0.3))).fingerprint
        with pytest.raises(
            ValueError, match=r"(?s)checkpoint: Ambient\(alpha=None\).*now:        Ambient\(alpha=0.3\)"
        ):
            require_same_mixture(lines, changed)

    def test_a_source_more_or_less(self, target, sim):
        lines = make_mixture(target, [sim], OPTIONS, recipe()).fingerprint
        with pytest.raises(ValueError, match="checkpoint: me/sim"):
            require_same_mixture(lines, lines[:1])
