# SPDX-License-Identifier: Apache-2.0
"""Forward and inverse kinematics of the virtual arm against each other; ten thousand take ten seconds, these one."""

import json
import re

import pytest

from lerobot_ambient.cli.__main__ import main

pytestmark = pytest.mark.usefixtures("placo")


def test_every_configuration_comes_back(capsys):
    assert main(["bench", "kinematics", "--configurations=300", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["joints"] == ["shoulder_pan", "shoulder_lift", "elbow_flex", "wrist_flex", "wrist_roll"]
    assert found["inverse"]["agree"] == 300 and found["inverse"]["at_once"] >= 299
    assert 0 < found["inverse"]["metres"] <= 1e-4 and 0 < found["inverse"]["radians"] <= 1e-3
    assert found["forward"]["metres"] < 1e-9 and found["forward"]["radians"] < 1e-7
    assert 0 < found["forward"]["ours_us"] < found["forward"]["placo_us"]


def test_a_pose_that_is_not_found_at_once_is_told_and_searched_again(capsys):
    assert main(["bench", "kinematics", "--configurations=60", "--start-degrees=60"]) == 0
    said = capsys.readouterr().out
    at_once = int(re.search(r"\((\d+) at once", said)[1])
    assert "inverse  60 of 60 come back within 0.0001 m and 0.001 rad, from up to 60 degrees" in said and at_once < 60
