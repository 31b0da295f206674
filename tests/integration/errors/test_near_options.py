# SPDX-License-Identifier: Apache-2.0
"""What is proposed for an option, a field or a path that is not there: what the chosen types have, where it belongs."""

from __future__ import annotations

import argparse
from pathlib import Path

import draccus
import pytest
from lerobot.configs.train import TrainPipelineConfig

from lerobot_ambient.integration.errors import near_options, option_errors
from lerobot_ambient.integration.errors.near_options import chosen_types, near_path, offered
from lerobot_ambient.policy.diffusion.configuration_ambient_diffusion import AmbientDiffusionConfig

OURS = ("--policy.type=ambient_diffusion", "--policy.push_to_hub=false", "--policy.device=cpu")
TARGET = ("--dataset.repo_id=me/target", "--dataset.root=nowhere")


@pytest.fixture(scope="module")
def every_option() -> list[str]:
    """Those of `lerobot-train`, of all types."""
    parser: argparse.ArgumentParser = draccus.argparsing.ArgumentParser(TrainPipelineConfig).parser
    return [option for action in parser._actions for option in action.option_strings if option.startswith("--")]


def hint(known: list[str], wrong: str, value: str = "", config_file: str | None = None) -> str:
    chosen = {"policy": "ambient_diffusion"}
    return near_options.near_options({wrong: value}, offered(known, TrainPipelineConfig, chosen), chosen, config_file)


def source(**values: str) -> str:
    fields = ", ".join(f'"{key}": {value}' for key, value in values.items())
    return f"--policy.sources='[{{{fields}}}]'"


A_SOURCE = source(repo_id='"me/sim"', sigma_min="0.3")


@pytest.mark.parametrize(
    ("wrong", "value", "expected"),
    [
        ("--policy.sigma_mn", "0.3", A_SOURCE),
        ("--policy.mixing.sigma_min", "0.2", source(repo_id='"me/sim"', sigma_min="0.2")),
        ("--policy.sources.0.sgma_max", "", source(repo_id='"me/sim"', sigma_max='"..."')),
        ("--sigma_min", "0.2", source(repo_id='"me/sim"', sigma_min="0.2")),
        ("--policy.weight", "2", source(repo_id='"me/sim"', weight="2")),
        ("--policy.sources.rep_id", "me/x", source(repo_id='"me/x"')),
        ("--policy.alpha", "0.5", "--policy.mixing.alpha"),
        ("--alpha", "0.5", "--policy.mixing.alpha"),
        ("--policy.mixing.sigms", "[0]", "--policy.mixing.sigmas"),
        ("--policy.horizn", "8", "--policy.horizon"),
        ("--policy.repo", "me/x", "--policy.repo_id"),
        ("--polcy.device", "cpu", "--policy.device"),
        ("--polcy.devce", "cpu", "--policy.device"),
        ("--device", "cpu", "--policy.device"),
        ("--env.tsk", "reach", "--env.task"),
        ("--datset.root", "here", "--dataset.root"),
        ("--sources", "[]", "--policy.sources"),
        ("--stps", "3", "--steps"),
    ],
)
def test_the_nearest_is_one_that_the_chosen_types_take(every_option, wrong, value, expected):
    assert hint(every_option, wrong, value) == f"; did you mean {expected}?"


def test_with_a_file_a_field_of_a_source_is_written_there(every_option):
    assert "did you mean sigma_min: 0.3 under its source in mine.yaml?" in hint(
        every_option, "--policy.sigma_min", "0.3", "mine.yaml"
    )


def test_a_word_near_nothing_gets_no_proposal(every_option):
    assert hint(every_option, "--frobnicate") == "; --help lists what there is."


def test_what_is_offered_is_what_the_type_has(every_option):
    """Every policy's every option, against the fields that the chosen one has."""
    types = {"policy": "ambient_diffusion", "policy.mixing": "cotrain"}
    taken = {
        option.split(".")[1] for option in offered(every_option, TrainPipelineConfig, types) if "--policy." in option
    }
    assert taken - {"type"} <= set(AmbientDiffusionConfig.__dataclass_fields__)
    assert {"sources", "mixing", "horizon"} <= taken
    assert "--policy.mixing.sigmas" in offered(every_option, TrainPipelineConfig, {"policy": "ambient_diffusion"})
    assert "--policy.mixing.sigmas" not in offered(every_option, TrainPipelineConfig, types)
    assert offered(every_option, TrainPipelineConfig, {}) == every_option


def test_types_are_chosen_by_words_before_files(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("policy: {type: ambient_diffusion, mixing: {type: soft}}\nenv: {type: pusht}\n")
    words = [f"--config_path={file}", "--env.type", "aloha"]
    assert chosen_types(words) == {"policy": "ambient_diffusion", "policy.mixing": "soft", "env": "aloha"}
    file.write_text("policy: [\n")
    assert chosen_types(words, file) == {"env": "aloha"}


def test_lerobot_train_proposes_what_the_chosen_types_take(command):
    """multi_task_dit has a sigma_min of its own, and an environment a device."""
    code, err = command("lerobot_train", *OURS, *TARGET, "--policy.sigma_mn=0.3", "--polcy.device=cpu")
    assert (code, "Traceback" in err) == (2, False)
    assert err.splitlines()[-1] == (
        "lerobot-train: error: there is no option --policy.sigma_mn, --polcy.device; "
        f"did you mean {A_SOURCE} or --policy.device?"
    )


def test_the_types_of_a_configuration_file_count(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("mine.yaml").write_text("policy: {type: ambient_diffusion}\ndataset: {repo_id: me/target}\n")
    code, err = command("lerobot_train", "--config_path=mine.yaml", "--policy.sigma_mn=0.3")
    assert (code, err.splitlines()[-1]) == (
        2,
        "lerobot-train: error: there is no option --policy.sigma_mn; "
        "did you mean sigma_min: 0.3 under its source in mine.yaml?",
    )


@pytest.mark.parametrize(
    ("option", "value", "expected"),
    [
        ("policy.sigma_min", 0.3, f"not an option of ambient_diffusion; did you mean {A_SOURCE}?"),
        ("policy.kl_weight", 3, "not an option of ambient_diffusion; act has it."),
        ("policy.mixing.sigmas", [0], "not an option of ambient; soft has it: add --policy.mixing.type=soft."),
        (
            "policy.sources",
            [{"repo_id": "me/sim", "alpha": 0.3}],
            "there is no alpha here; did you mean --policy.mixing.",
        ),
        ("policy.mixing", "soft", "'soft' is a type; write --policy.mixing.type=soft"),
        ("policy.mixing", "sof", "'sof' is no type, which --policy.mixing.type names; did you mean soft?"),
        ("dataset", "me/target", "it has options of its own; write --dataset.repo_id=me/target"),
        ("wandb", True, "it has options of its own; write --wandb.enable=true"),
        ("eval", 3, "it has options of its own: --eval.n_episodes, --eval.batch_size"),
    ],
)
def test_what_belongs_elsewhere_is_sent_there(monkeypatch, option, value, expected):
    """Options that the parser of all types knows, and fields in a list: found when the configuration is made."""
    monkeypatch.setattr("sys.argv", ["lerobot-train", *OURS, *TARGET, f"--{option}={value}"])
    typed = {"policy.type": "ambient_diffusion", "policy.device": "cpu", "dataset.repo_id": "me/target"}
    typed = {key: one for key, one in typed.items() if not key.startswith(f"{option}.")}
    with pytest.raises(Exception) as caught:
        draccus.decode(TrainPipelineConfig, draccus.utils.deflatten({**typed, option: value}, sep="."))
    message = option_errors.explain(caught.value)
    assert message is not None
    assert message.startswith(tuple(f"{place}: {expected}" for place in (f"--{option}", f"{option}[0]", option))), (
        message
    )


def test_an_option_of_another_policy_ends_the_command(command):
    code, err = command("lerobot_train", *OURS, *TARGET, "--policy.sigma_min=0.3")
    assert (code, "Traceback" in err) == (1, False)
    assert err.splitlines()[-1].startswith(
        "error: --policy.sigma_min: not an option of ambient_diffusion; did you mean"
    )


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        ("mine.yml", "mine.yaml"),
        ("Mine.YAML", "mine.yaml"),
        ("mien.yaml", "mine.yaml"),
        ("mine", "mine.yaml"),
        ("mine.json", "mine.yaml"),
        ("outputs/trian/maze/last", "outputs/train/maze/last"),
        ("outputs/train/maze/lst", "outputs/train/maze/last"),
        ("outputs/train/maze/first", None),
        ("yours.yaml", None),
        ("nowhere/mine.yaml", None),
        ("outputs/trian/push/last", None),
    ],
)
def test_a_path_that_is_not_there_is_looked_for_under_a_near_name(tmp_path, monkeypatch, wrong, expected):
    monkeypatch.chdir(tmp_path)
    Path("mine.yaml").touch()
    Path("outputs/train/maze/last").mkdir(parents=True)
    assert near_path(Path(wrong)) == (None if expected is None else Path(expected))
    # The same from the root on.
    assert near_path(tmp_path / wrong) == (None if expected is None else tmp_path / expected)


@pytest.mark.parametrize("script", ["lerobot_train", "lerobot_ambient.cli"])
def test_a_file_of_a_near_name_is_proposed(command, tmp_path, monkeypatch, script):
    monkeypatch.chdir(tmp_path)
    Path("mine.yaml").touch()
    words = ["--config_path=mine.yml"] if script == "lerobot_train" else ["inspect", "--config_path=mine.yml"]
    code, err = command(script, *words)
    assert code in (1, 2)
    assert "error: --config_path=mine.yml: no such file or folder; did you mean --config_path=mine.yaml?" in err
