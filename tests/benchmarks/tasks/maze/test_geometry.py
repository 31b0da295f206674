# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from lerobot_ambient.benchmarks.tasks.maze.geometry import Maze

SEEDS = range(6)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("loops", [0, 1, 3])
def test_a_maze_is_a_tree_plus_its_loops(seed: int, loops: int) -> None:
    maze = Maze.from_seed(seed, cells=4, loops=loops)
    assert len(maze.passages) == 15 + loops
    assert len(maze.hops((0, 0))) == 16


def test_a_maze_is_pure_in_its_seed() -> None:
    first = Maze.from_seed(3)
    np.random.seed(0)
    assert Maze.from_seed(3) == first
    assert len({Maze.from_seed(seed).passages for seed in SEEDS}) == len(SEEDS)


def test_free_rectangles_and_walls_tile_the_square() -> None:
    """Free area by rectangles plus wall area by counting a fine grid gives the whole square."""
    maze = Maze.from_seed(1, loops=2)
    rectangles = maze.free_rectangles
    area = np.prod(rectangles[:, 2:] - rectangles[:, :2], axis=1).sum()
    cells = 16 * (1 - maze.wall) ** 2 + len(maze.passages) * maze.wall * (1 - maze.wall)
    assert area == pytest.approx(cells, rel=1e-12)


@pytest.mark.parametrize("seed", SEEDS)
def test_free_rectangles_are_the_complement_of_the_walls(seed: int) -> None:
    maze = Maze.from_seed(seed, loops=seed % 3)
    points = np.random.default_rng(seed).uniform(0.0, maze.cells, (20_000, 2))
    low, high = maze.wall_rectangles[:, :2], maze.wall_rectangles[:, 2:]
    in_wall = ((points[:, None] > low) & (points[:, None] < high)).all(-1).any(-1)
    assert np.array_equal(maze.points_free(points), ~in_wall)
    assert in_wall.any() and not in_wall.all()


def test_touching_a_wall_is_free_and_entering_it_is_not() -> None:
    maze = Maze(2, frozenset({((0, 0), (0, 1)), ((0, 1), (1, 1)), ((1, 0), (1, 1))}), wall=0.5)
    assert maze.points_free([0.75, 0.5])
    assert not maze.points_free([np.nextafter(0.75, 1.0), 0.5])
    assert maze.segments_free([0.75, 0.3], [0.75, 1.7]), "along the wall"
    assert not maze.segments_free([0.75, 0.3], [1.25, 0.3]), "through the wall"
    assert not maze.segments_free([0.5, 0.5], [1.5, 0.5])
    assert maze.segments_free([0.5, 0.5], [0.5, 1.5])
    assert maze.segments_free([0.5, 0.5], [0.5, 0.5]), "a segment of length zero"
    assert not maze.segments_free([0.5, 0.5], [-0.5, 0.5]), "out of the maze"
    assert not maze.segments_free([-9.0, 0.5], [-8.0, 0.5]), "outside of the maze"


def test_a_pillar_without_walls_blocks_the_diagonal() -> None:
    open_maze = Maze.from_seed(0, cells=2, loops=1)
    assert not open_maze.segments_free([0.5, 0.5], [1.5, 1.5])
    assert not open_maze.points_free([1.0, 1.0])


@pytest.mark.parametrize("seed", SEEDS)
def test_segments_agree_with_dense_samples(seed: int) -> None:
    maze = Maze.from_seed(seed)
    rng = np.random.default_rng(seed)
    starts = rng.uniform(0, 4, (800, 2))
    ends = starts + rng.uniform(-0.6, 0.6, starts.shape)
    share = np.linspace(0, 1, 301)[:, None, None]
    sampled = maze.points_free(starts + share * (ends - starts)).all(axis=0)
    exact = maze.segments_free(starts, ends)
    assert not np.any(exact & ~sampled), "a segment called free has a sample in a wall"
    # The samples are up to 0.003 apart, so they miss only the shallowest cuts through a corner.
    assert (sampled & ~exact).sum() <= 4
    assert exact.any() and not exact.all()


@pytest.mark.parametrize("seed", SEEDS)
def test_one_segment_is_free_as_among_many(seed: int) -> None:
    """Short and long ones, and those that end on walls and corners."""
    maze = Maze.from_seed(seed)
    rng = np.random.default_rng(seed)
    starts = rng.uniform(0, maze.cells, (300, 2))
    ends = starts + rng.normal(0, 0.2, (300, 2)) * rng.choice([0.0, 1.0, 3.0], (300, 1))
    half = maze.wall / 2
    edges = rng.integers(1, maze.cells, (300, 2)) + rng.choice([-half, half], (300, 2))
    upwards = edges + np.array([0.0, 0.3])
    pairs = ((starts, ends), (edges, ends), (edges, edges[::-1]), (edges, upwards), (edges, edges))
    assert len({bool(free) for first, second in pairs for free in maze.segments_free(first, second)}) == 2
    for first, second in pairs:
        wanted = maze.segments_free(first, second)
        assert [maze.segment_free(p, q) for p, q in zip(first, second, strict=True)] == wanted.tolist()


def test_segments_broadcast() -> None:
    maze = Maze.from_seed(0)
    fan = maze.segments_free([0.5, 0.5], np.random.default_rng(0).uniform(0, 4, (3, 5, 2)))
    assert fan.shape == (3, 5)


def test_a_thickened_maze_keeps_its_distance() -> None:
    maze = Maze.from_seed(2)
    thick = maze.thickened(0.1)
    points = np.random.default_rng(0).uniform(0, 4, (3000, 2))
    offsets = np.array([(x, y) for x in (-0.1, 0, 0.1) for y in (-0.1, 0, 0.1)]) * (1 - 1e-9)
    assert np.array_equal(thick.points_free(points), maze.points_free(points[:, None] + offsets).all(1))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"cells": 1, "passages": frozenset()}, "cells is 1"),
        ({"cells": 2, "passages": frozenset(), "wall": 1.0}, "wall is 1.0"),
        ({"cells": 2, "passages": frozenset({((0, 0), (1, 1))})}, "not sorted pairs of adjacent"),
        ({"cells": 2, "passages": frozenset({((0, 0), (1, 0))})}, "only 2 of 4 cells"),
    ],
)
def test_bad_mazes_are_refused(arguments: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Maze(**arguments)
    with pytest.raises(ValueError, match="loops is 10"):
        Maze.from_seed(0, cells=4, loops=10)
