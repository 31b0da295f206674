# SPDX-License-Identifier: Apache-2.0
import gymnasium as gym
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import lerobot_ambient.benchmarks.tasks  # noqa: F401
from lerobot_ambient.benchmarks.tasks.configuration import AmbientSortingEnvConfig
from lerobot_ambient.benchmarks.tasks.shared.conformance import check_environment
from lerobot_ambient.benchmarks.tasks.shared.conformance_lerobot import check_lerobot
from lerobot_ambient.benchmarks.tasks.sorting.environment import SortingEnv
from lerobot_ambient.benchmarks.tasks.sorting.task import (
    BIN_CENTRES,
    BIN_HALF,
    BLOCK_GAP,
    BLUE,
    GRASP_RADIUS,
    GRIPPER_STEP,
    MAX_BLOCKS,
    MAX_STEP,
    RED,
    STEPS_PER_BLOCK,
    VIEWS,
    Layout,
    SortingCounts,
    View,
    bin_at,
    bin_for,
    decode_return,
    draw_layout,
    environment_state_names,
    episode_return,
)

LEFT, RIGHT = BIN_CENTRES


def layout(*blocks: tuple[float, float, int], gripper: tuple[float, float] = (0.0, 0.4)) -> Layout:
    rows = np.array(blocks, dtype=float)
    return Layout(rows[:, :2], rows[:, 2].astype(np.int64), np.array(gripper))


def drive(env: SortingEnv, place: np.ndarray, closure: float, steps: int) -> tuple[float, dict, bool]:
    """Hold one action; the summed reward, the last info, whether the episode ended."""
    total, info, ended = 0.0, {}, False
    for _ in range(steps):
        _, reward, terminated, truncated, info = env.step(np.array([*place, closure], np.float32))
        total, ended = total + reward, terminated or truncated
        if ended:
            break
    return total, info, ended


def carry(env: SortingEnv, block: int, place: np.ndarray) -> tuple[float, dict, bool]:
    """Bring one block to a place in four moves."""
    start = env.block_positions[block]
    total = drive(env, start, 0.0, 25)[0] + drive(env, start, 1.0, 3)[0]
    assert env.held == block
    total += drive(env, place, 1.0, 25)[0]
    reward, info, ended = drive(env, place, 0.0, 3)
    return total + reward, info, ended


def test_gym_make_finds_it() -> None:
    env = gym.make("lerobot_ambient/Sorting-v0", blocks=2)
    assert env.unwrapped.blocks == 2
    assert env.get_wrapper_attr("_max_episode_steps") == 2 * STEPS_PER_BLOCK


def test_blocks_in_the_right_bins_are_a_success() -> None:
    env = SortingEnv(blocks=2)
    env.reset(options={"layout": layout((-0.5, -0.5, BLUE), (0.5, -0.5, RED))})
    assert carry(env, 0, RIGHT)[0] == 1.0
    reward, info, ended = carry(env, 1, LEFT)
    assert (reward, ended) == (1.0, True)
    assert info == {"is_success": True, "correct": 2, "wrong": 0}
    with pytest.raises(gym.error.ResetNeeded):
        env.step(np.zeros(3, np.float32))


def test_a_block_in_the_wrong_bin_is_counted_and_stays() -> None:
    env = SortingEnv(blocks=2)
    env.reset(options={"layout": layout((-0.5, -0.5, RED), (0.5, -0.5, RED))})
    first = carry(env, 0, RIGHT)[0]
    drive(env, RIGHT, 1.0, 3)
    assert env.held is None, "a sorted block cannot be grasped again"
    drive(env, RIGHT, 0.0, 3)
    second, info, ended = carry(env, 1, LEFT)
    assert ended and info == {"is_success": False, "correct": 1, "wrong": 1}
    assert decode_return(first + second) == (1, 1)


def test_a_block_that_is_dropped_on_the_table_can_be_grasped_again() -> None:
    env = SortingEnv(blocks=1, episode_length=200)
    env.reset(options={"layout": layout((-0.5, -0.5, RED))})
    reward, info, ended = carry(env, 0, np.array([0.2, 0.1]))
    assert (reward, ended, info["correct"], info["wrong"]) == (0.0, False, 0, 0)
    assert env.block_positions[0] == pytest.approx([0.2, 0.1], abs=1e-6)
    assert carry(env, 0, LEFT)[1]["is_success"]


@pytest.mark.parametrize(("distance", "grasps"), [(GRASP_RADIUS - 1e-6, True), (GRASP_RADIUS + 1e-6, False)])
def test_the_gripper_grasps_within_its_radius(distance: float, grasps: bool) -> None:
    env = SortingEnv(blocks=1)
    env.reset(options={"layout": layout((0.0, -0.2, RED), gripper=(0.0, -0.2 + distance))})
    drive(env, env.hand[:2], 1.0, 3)
    assert (env.held == 0) is grasps


def test_the_nearest_of_two_blocks_is_grasped_and_only_when_the_gripper_closes() -> None:
    env = SortingEnv(blocks=2)
    env.reset(options={"layout": layout((-0.05, 0.0, RED), (0.03, 0.0, BLUE), gripper=(0.5, 0.0))})
    drive(env, env.hand[:2], 1.0, 3)
    drive(env, np.zeros(2), 1.0, 20)
    assert env.held is None
    drive(env, np.zeros(2), 0.0, 3)
    drive(env, np.zeros(2), 1.0, 3)
    assert env.held == 1


def test_speeds_are_limited_and_places_clipped_to_the_table() -> None:
    env = SortingEnv(blocks=1)
    env.reset(options={"layout": layout((-0.5, -0.5, RED))})
    observation, *_ = env.step(np.array([5.0, 0.4, 7.0], np.float32))
    assert observation["agent_pos"] == pytest.approx([MAX_STEP, 0.4, GRIPPER_STEP], abs=1e-6)
    drive(env, np.array([5.0, 0.4]), 7.0, 30)
    assert env.hand == pytest.approx([1.0, 0.4, 1.0], abs=1e-6)


def test_the_observation_lists_the_nearest_block_first_and_sorted_ones_last() -> None:
    env = SortingEnv(blocks=2, condition=True)
    observation, _ = env.reset(options={"layout": layout((-0.5, -0.5, RED), (0.5, 0.2, BLUE))})
    names = environment_state_names(2, True, "table")
    assert names[:4] == ["block0_x", "block0_y", "block0_colour", "block0_sorted"]
    assert observation["environment_state"] == pytest.approx([0.5, 0.2, 1, 0, -0.5, -0.5, -1, 0, 0, 1])
    assert len(names) == 10
    drive(env, np.array([0.5, 0.2]), 0.0, 10)
    observation = env.step(np.array([0.5, 0.2, 1.0], np.float32))[0]
    assert observation["environment_state"][8] == 0
    observation = env.step(np.array([0.5, 0.2, 1.0], np.float32))[0]
    assert observation["environment_state"][8] == 1, "blue is held"
    drive(env, RIGHT, 1.0, 10)
    drive(env, RIGHT, 0.0, 3)
    observation = env.step(np.array([*RIGHT, 0.0], np.float32))[0]
    assert observation["environment_state"] == pytest.approx([-0.5, -0.5, -1, 0, *RIGHT, 1, 1, 0, 1], abs=1e-6)


def test_the_wrist_also_sees_where_the_blocks_lie_from_the_hand() -> None:
    """Beside that the views are one environment: same layouts, same motion."""
    envs: dict[View, SortingEnv] = {view: SortingEnv(blocks=3, condition=True, view=view) for view in VIEWS}
    names = {view: environment_state_names(3, True, view) for view in VIEWS}
    shared = [names["wrist"].index(name) for name in names["table"]]
    from_hand = [names["wrist"].index(f"block{block}_{axis}_from_hand") for block in range(3) for axis in "xy"]
    assert sorted([*shared, *from_hand]) == list(range(len(names["wrist"])))
    seen = {view: env.reset(seed=7)[0] for view, env in envs.items()}
    for _ in range(30):
        table, wrist = (seen[view]["environment_state"] for view in ("table", "wrist"))
        assert np.array_equal(wrist[shared], table)
        blocks = table[:12].reshape(3, 4)[:, :2]
        assert wrist[from_hand].reshape(3, 2) == pytest.approx(blocks - seen["table"]["agent_pos"][:2], abs=1e-6)
        nearest = np.array([*blocks[0], 1.0], np.float32)
        seen = {view: env.step(nearest)[0] for view, env in envs.items()}
    assert envs["wrist"].observation_space["environment_state"].high[from_hand].tolist() == [2.0] * 6


def test_bins_hold_their_edges_and_nothing_beyond() -> None:
    for number, centre in enumerate(BIN_CENTRES):
        corner = centre - BIN_HALF
        assert bin_at(corner + 1e-9) == number
        assert bin_at(corner - [0.0, 1e-6]) is None


@given(st.integers(0, MAX_BLOCKS), st.integers(0, MAX_BLOCKS))
def test_returns_tell_how_many_blocks_were_sorted_right_and_wrong(correct: int, wrong: int) -> None:
    if correct + wrong <= MAX_BLOCKS:
        assert decode_return(episode_return(correct, wrong)) == (correct, wrong)
        assert decode_return(float(np.float32(episode_return(correct, wrong)))) == (correct, wrong)


@pytest.mark.parametrize("value", [0.5, -1.0, 0.99, 9.0])
def test_other_returns_are_refused(value: float) -> None:
    with pytest.raises(ValueError, match="not the sum of the rewards"):
        decode_return(value)


def test_counts_pool_episodes_into_logic_completion_and_score() -> None:
    counts = SortingCounts.from_returns([episode_return(2, 1), episode_return(1, 0)], blocks=3)
    assert counts == SortingCounts(3, 1, 6)
    assert (counts.logic, counts.completion, counts.score) == (0.75, 4 / 6, 0.5)
    assert SortingCounts.from_returns([0.0], blocks=3).logic is None
    with pytest.raises(ValueError, match="add up to more"):
        SortingCounts(2, 2, 3)


def test_logics_choose_the_bin() -> None:
    rng = np.random.default_rng(0)
    assert [bin_for(colour, "right", rng) for colour in (RED, BLUE)] == [0, 1]
    assert [bin_for(colour, "opposite", rng) for colour in (RED, BLUE)] == [1, 0]
    assert np.mean([bin_for(RED, "arbitrary", rng) for _ in range(2000)]) == pytest.approx(0.5, abs=0.05)


def test_layouts_are_random_and_spaced() -> None:
    layouts = [draw_layout(np.random.default_rng(seed), 4) for seed in range(50)]
    for one in layouts:
        gaps = np.linalg.norm(one.blocks[:, None] - one.blocks[None], axis=-1)
        assert gaps[np.triu_indices(4, 1)].min() >= BLOCK_GAP
    assert np.mean([one.colours.mean() for one in layouts]) == pytest.approx(0.5, abs=0.15)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: SortingEnv(blocks=9), "blocks is 9, must be 1 to 8"),
        (lambda: SortingEnv(view="side"), "view is 'side', must be one of"),
        (lambda: AmbientSortingEnvConfig(view="side"), "view is 'side', must be one of"),
        (lambda: SortingEnv(episode_length=0), "episode_length is 0"),
        (lambda: SortingEnv(render_mode="human"), "render_mode is 'human'"),
        (lambda: SortingEnv(image_size=3), "size is 3 pixels"),
        (lambda: SortingEnv(blocks=2).reset(options={"layout": layout((0.0, 0.0, RED))}), "has 1 blocks"),
        (lambda: layout((*LEFT, RED)), "lies in a bin"),
        (lambda: layout((0.0, 0.0, 2)), "colours are"),
        (lambda: layout((0.0, -1.5, RED)), "must lie on the table"),
        (lambda: AmbientSortingEnvConfig(fps=20), "fps is 20"),
    ],
)
def test_what_makes_no_sense_is_refused(make, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make()


def test_an_action_that_is_no_place_is_refused() -> None:
    env = SortingEnv()
    env.reset(seed=0)
    with pytest.raises(ValueError, match="three finite numbers"):
        env.step(np.array([0.0, np.nan, 0.0], np.float32))


def sort_badly(env: gym.Env, observation, rng: np.random.Generator) -> np.ndarray:
    """Carry the nearest block to the nearer bin, whatever its colour."""
    x, y, _ = observation["agent_pos"]
    seen = observation["environment_state"]
    if seen[-1] != 0:
        place = LEFT if seen[0] < 0.0 else RIGHT
        arrived = np.hypot(x - place[0], y - place[1]) < 0.05
        return np.array([*place, 0.0 if arrived else 1.0], np.float32)
    near = np.hypot(x - seen[0], y - seen[1]) < 0.05 + 0.001 * rng.random()
    return np.array([seen[0], seen[1], 1.0 if near else 0.0], np.float32)


def stay(env: gym.Env, observation, rng: np.random.Generator) -> np.ndarray:
    return observation["agent_pos"]


def documented(env: gym.Env) -> float:
    return episode_return(env.unwrapped.correct, env.unwrapped.wrong)


@pytest.mark.parametrize("view", VIEWS)
def test_block_sorting_conforms(view: View) -> None:
    def make() -> gym.Env:
        return SortingEnv(blocks=2, view=view, episode_length=120, render_mode="rgb_array", image_size=32)

    check_environment(make, policy=sort_badly, idle_policy=stay, episode_return=documented)
    ends = []
    for seed in range(6):
        env = make()
        observation, _ = env.reset(seed=seed)
        ended = False
        while not ended:
            observation, _, terminated, truncated, _ = env.step(sort_badly(env, observation, np.random.default_rng(0)))
            ended = terminated or truncated
        ends.append((env.correct, env.wrong))
    assert {sum(pair) for pair in ends} == {2} and len(set(ends)) > 1, "the check saw both kinds of blocks"


@pytest.mark.parametrize(("condition", "view"), [(False, "table"), (True, "wrist")])
def test_lerobot_finds_what_the_configuration_promises(condition: bool, view: View) -> None:
    check_lerobot(AmbientSortingEnvConfig(blocks=2, condition=condition, view=view, image_size=32))


def test_a_configuration_from_before_views_sees_the_table() -> None:
    assert AmbientSortingEnvConfig(blocks=2).features["environment_state"].shape == (9,)
