# SPDX-License-Identifier: Apache-2.0
"""A target whose features have other names: the message holds the option that renames them."""

import re

import pytest
import yaml

from lerobot_ambient.data.alignment.target_keys import require_policy_keys

NUMBERS, PICTURES = {"dtype": "float32", "shape": (3,)}, {"dtype": "video", "shape": (4, 4, 3)}
COUNTERS = {key: {"dtype": "int64", "shape": (1,)} for key in ("index", "frame_index")}


def option(features, declared=None):
    with pytest.raises(ValueError, match=r"the target 'me/arm' has no") as refused:
        require_policy_keys("me/arm", COUNTERS | features, declared)
    return yaml.safe_load(re.search(r"--policy\.target_rename='(.*)'", str(refused.value))[1])


@pytest.mark.parametrize(
    ("features", "rename"),
    [
        (
            {"actions": NUMBERS, "state": NUMBERS, "image": PICTURES},
            {"actions": "action", "state": "observation.state", "image": "observation.images.image"},
        ),
        ({"actions": NUMBERS, "observation.state": NUMBERS}, {"actions": "action"}),
        ({"action": NUMBERS, "qpos": NUMBERS}, {"qpos": "observation.state"}),
        ({"observation.state": NUMBERS}, {"KEY": "action"}),
    ],
)
def test_what_is_meant_is_proposed(features, rename):
    assert option(features) == rename


def test_what_is_declared_is_kept():
    features = {"action": NUMBERS, "state": NUMBERS}
    assert option(features, {"ctrl": "action"}) == {"ctrl": "action", "state": "observation.state"}


def test_actions_that_are_no_numbers():
    with pytest.raises(ValueError, match=r"the target 'me/arm' holds no numbers in 'action': .* dtype 'video'"):
        require_policy_keys("me/arm", {"action": PICTURES, "observation.state": NUMBERS})


def test_a_sound_target_passes():
    require_policy_keys("me/arm", {"action": NUMBERS, "observation.images.top": PICTURES})


def test_nothing_is_proposed_where_nothing_can_be_meant():
    with pytest.raises(ValueError, match=r"no observation .* as 'observation\.state'\.$"):
        require_policy_keys("me/arm", COUNTERS | {"action": NUMBERS})
