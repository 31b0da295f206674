# SPDX-License-Identifier: Apache-2.0
"""The fields that are read of LeRobot's training configuration are fields that it has."""

from dataclasses import fields

import pytest
from lerobot.configs.default import DatasetConfig
from lerobot.configs.train import TrainPipelineConfig

from lerobot_ambient.policy.options.train_config import DatasetOptions, TrainConfig


@pytest.mark.parametrize(("ours", "theirs"), [(DatasetOptions, DatasetConfig), (TrainConfig, TrainPipelineConfig)])
def test_lerobot_has_every_field_that_is_read(ours, theirs):
    has = {field.name for field in fields(theirs)}
    assert set(ours.__annotations__) - has == set()


def test_lerobots_configuration_is_written_as_a_mapping():
    assert callable(TrainPipelineConfig.to_dict)
