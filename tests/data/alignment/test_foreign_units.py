# SPDX-License-Identifier: Apache-2.0
"""Numbers in another unit than the target's, under the same names, are told of; wild and lazy motion is not."""

import logging
import re

import numpy as np
import pytest
import yaml

from lerobot_ambient.cli.__main__ import main
from lerobot_ambient.data.alignment.foreign_units import _foreign, _missing_unit
from lerobot_ambient.data.declared.alignment import DimensionConfig
from lerobot_ambient.data.declared.sources import Source
from lerobot_ambient.data.mixture import make_mixture

from ..small_recipe import OPTIONS, RECIPE

DEGREES = 180 / np.pi


@pytest.fixture(scope="module")
def arms(tmp_path_factory, write_dataset):
    """Four joints each, the same motion: me/wide is 57.3 times me/narrow."""
    folder = tmp_path_factory.mktemp("units")
    for name, spread in (("narrow", 1.0), ("wide", DEGREES)):
        write_dataset(folder / name, f"me/{name}", [9, 12], dims=4, spread=spread, env_state=False)
    return folder


def source(folder, name, **fields):
    return Source(f"me/{name}", root=str(folder / name), **fields)


@pytest.mark.parametrize(("target", "other", "scale"), [("narrow", "wide", 1 / DEGREES), ("wide", "narrow", DEGREES)])
def test_another_unit_is_told_of_and_what_it_says_to_write_mends_it(arms, caplog, target, other, scale):
    make_mixture(source(arms, target), [source(arms, other)], OPTIONS, RECIPE)
    told = [record.getMessage() for record in caplog.records if "another unit" in record.getMessage()]
    assert [line.split(":")[0:2] for line in told] == [
        [f"'me/{other}'", " action"],
        [f"'me/{other}'", " observation.state"],
    ]
    dimensions = {}
    for line in told:
        dimensions |= yaml.safe_load(re.search(r"write dimensions: (\{.*\}\}\})", line).group(1))
    assert dimensions["action"]["joint_3"]["scale"] == pytest.approx(scale, rel=1e-6)
    caplog.clear()
    rules = {key: {name: DimensionConfig(**rule) for name, rule in of.items()} for key, of in dimensions.items()}
    make_mixture(source(arms, target), [source(arms, other, dimensions=rules)], OPTIONS, RECIPE)
    assert "another unit" not in caplog.text


def test_what_was_declared_is_kept_in_what_it_says_to_write(arms, caplog):
    rules = {"action": {"joint_0": DimensionConfig(take="joint_1", scale=-1.0)}}
    make_mixture(source(arms, "narrow"), [source(arms, "wide", dimensions=rules)], OPTIONS, RECIPE)
    assert "joint_0: {take: joint_1, scale: -0.01745329}" in caplog.text


def test_a_source_of_its_own_normalisation_has_a_unit_of_its_own(arms, caplog):
    make_mixture(source(arms, "narrow"), [source(arms, "wide", normalization="own")], OPTIONS, RECIPE)
    assert "another unit" not in caplog.text


@pytest.mark.parametrize("verb", ["inspect", "doctor"])
def test_it_is_said_before_a_training(arms, capsys, caplog, monkeypatch, verb):
    if verb == "doctor":
        from lerobot_ambient.integration.doctor import installation as doctor

        monkeypatch.setattr(doctor, "check_plugin", list)
    options = [
        *("--policy.type=ambient_diffusion", "--policy.push_to_hub=false", "--policy.device=cpu"),
        *("--dataset.repo_id=me/narrow", f"--dataset.root={arms / 'narrow'}"),
        f"--policy.sources=[{{repo_id: me/wide, root: {arms / 'wide'}, sigma_min: 0.3}}]",
    ]
    with caplog.at_level(logging.WARNING):
        assert main([verb, *options]) == 0
    assert "in another unit, degrees to radians perhaps" in caplog.text + capsys.readouterr().out


def ranges(*pairs):
    return np.array(pairs, dtype=float).T


ALL = np.ones(3, dtype=bool)
JOINTS = ("elbow", "wrist_roll", "gripper")


@pytest.mark.parametrize(
    ("here", "there", "found"),
    [
        # Wilder, and lazier: both below a factor of 20.
        (ranges((-1, 1), (-1, 1), (0, 1)), ranges((-19, 19), (-0.06, 0.06), (0.4, 0.5)), []),
        (ranges((-1, 1), (-1, 1), (0, 1)), ranges((-1, 1), (-21, 1), (0, 1)), [1]),
        # A glitch of one frame.
        (ranges((-1, 1), (-1, 1), (0, 1)), ranges((-1, 1), (-1, 1), (0, 1e9)), [2]),
        # One joint that hardly moves is no evidence; all joints are, and a gripper counts by itself.
        (ranges((-90, 90), (-90, 90), (0, 1)), ranges((-90, 90), (0, 0.1), (0, 1)), []),
        (ranges((-90, 90), (-90, 90), (0, 1)), ranges((-1.5, 1.5), (-1.5, 1.5), (0, 1)), [0, 1]),
        (ranges((-1, 1), (-1, 1), (0, 100)), ranges((-1, 1), (-1, 1), (0, 1)), [2]),
        # What does not move in the target is given a range elsewhere; what never moves in the source is no unit.
        (ranges((5, 5), (-1, 1), (0, 1)), ranges((-40, 40), (-1, 1), (0.5, 0.5)), []),
    ],
)
def test_which_dimensions_are_foreign(here, there, found):
    assert _foreign(JOINTS, here, there, ALL) == found
    assert _foreign(JOINTS, here, there, ~ALL) == []


@pytest.mark.parametrize(
    ("name", "there", "here", "unit"),
    [
        ("elbow.pos", (-180, 180), (-3, 3), "degrees to radians"),
        ("elbow.pos", (-3, 3), (-180, 180), "radians to degrees"),
        ("gripper.pos", (0, 1), (0, 100), "fractions to percent"),
        ("x", (-300, 300), (-0.25, 0.25), "millimetres to metres"),
        ("elbow.pos", (-1e9, 1), (-3, 3), None),
        ("elbow.pos", (7.0, 7.0), (-0.1, 0.1), None),
    ],
)
def test_which_unit_is_meant(name, there, here, unit):
    assert _missing_unit(name, there, here) == unit
