# SPDX-License-Identifier: Apache-2.0
"""Options and their help texts as draccus finds them itself: everywhere else in the tests both are remembered."""

import draccus
import pytest
from draccus import argparsing
from draccus.wrappers import docstring


def test_a_parse_with_draccus_own_search_is_the_same_and_shows_our_texts(monkeypatch, capsys):
    from lerobot.configs.train import TrainPipelineConfig

    from lerobot_ambient.integration import register_now

    register_now()
    words = ["--policy.type=ambient_diffusion", "--policy.device=cpu", "--dataset.repo_id=me/target"]
    cached = draccus.parse(TrainPipelineConfig, args=words)
    texts = _help(TrainPipelineConfig, words, capsys)
    monkeypatch.setattr(docstring, "get_attribute_docstring", docstring.get_attribute_docstring.__wrapped__)
    monkeypatch.setattr(argparsing.ArgumentParser, "__init__", argparsing.ArgumentParser.__init__.__wrapped__)
    assert draccus.encode(draccus.parse(TrainPipelineConfig, args=words)) == draccus.encode(cached)
    assert _help(TrainPipelineConfig, words, capsys) == texts


def _help(config: type, words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit):
        draccus.parse(config, args=[*words, "--help"])
    return capsys.readouterr().out
