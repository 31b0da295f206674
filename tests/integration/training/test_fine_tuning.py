# SPDX-License-Identifier: Apache-2.0
"""What LeRobot would lose of a config file with `policy.path`."""

import json

import pytest
import yaml
from lerobot.configs.parser import _flatten_to_cli_args

from lerobot_ambient.integration.training.fine_tuning import refuse_lost_settings

LOST = {"path": "base", "sources": [], "mixing": {"type": "target_only"}, "frame_cache": None}
KEPT = {"path": "base", "type": "ambient_diffusion", "push_to_hub": False, "mixing": {"alpha": 0.3}, "horizon": 16}


def write(folder, policy, name="train.yaml"):
    file = folder / name
    config = {"policy": policy, "steps": 3}
    file.write_text(json.dumps(config) if name.endswith("json") else yaml.safe_dump(config))
    return f"--config_path={file}"


def test_lerobot_does_lose_them():
    assert _flatten_to_cli_args(LOST) == []
    assert _flatten_to_cli_args(KEPT) == ["--push_to_hub=false", "--mixing.alpha=0.3", "--horizon=16"]


@pytest.mark.parametrize("name", ["train.yaml", "train.json"])
def test_what_would_be_lost_is_refused_with_the_options_that_work(tmp_path, name):
    with pytest.raises(ValueError, match=r"beside policy\.path LeRobot does not read") as error:
        refuse_lost_settings([write(tmp_path, LOST, name), "--steps=5"])
    for option in ("--policy.sources='[]'", "--policy.mixing.type=target_only", "--policy.frame_cache='null'"):
        assert option in str(error.value)


def test_what_is_kept_or_said_again_or_has_no_path_passes(tmp_path):
    refuse_lost_settings([write(tmp_path, KEPT)])
    refuse_lost_settings([write(tmp_path, {key: value for key, value in LOST.items() if key != "path"})])
    refuse_lost_settings([write(tmp_path, {"path": "base", "sources": []}), "--policy.sources=[]"])
    refuse_lost_settings(["--policy.path=base", "--policy.sources=[]"])
    refuse_lost_settings([f"--config_path={tmp_path / 'me' / 'on-the-hub'}"])
