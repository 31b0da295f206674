# SPDX-License-Identifier: Apache-2.0
"""Stock lerobot-train that goes on from a checkpoint of a stock type, with sources."""

import json

import pytest
import torch
import yaml
from safetensors.torch import load_file

RENAMED = '--rename_map={"observation.images.cam": "observation.images.front"}'
STEPS = ("--steps=1", "--save_freq=1", "--batch_size=2", "--num_workers=0", "--env_eval_freq=0", "--log_freq=1")


@pytest.fixture(scope="module")
def pictured(tmp_path_factory, write_dataset):
    """me/target and me/sim with six joints and a camera of 32 pixels."""
    folder = tmp_path_factory.mktemp("pictured")
    shape = {"dims": 6, "image": (32, 32), "env_state": False}
    return (
        write_dataset(folder / "target", "me/target", [12, 14], seed=1, **shape),
        write_dataset(folder / "sim", "me/sim", [13, 15], seed=2, task="come", **shape),
    )


def words(pictured, output, *, sources=True):
    target, sim = pictured
    source = {"repo_id": "me/sim", "root": str(sim), "sigma_min": 0.3}
    return [
        *STEPS,
        *("--dataset.repo_id=me/target", f"--dataset.root={target}", f"--output_dir={output}"),
        *("--policy.push_to_hub=false", "--policy.device=cpu"),
        *([f"--policy.sources={json.dumps([source])}"] if sources else []),
    ]


@pytest.fixture
def policies(monkeypatch):
    """The policies that lerobot-train makes, as (class name, weights before the first step)."""
    from lerobot.scripts import lerobot_train as script

    made, make = [], script.make_policy

    def spied(*args, **kwargs):
        policy = make(*args, **kwargs)
        made.append((policy, {name: one.clone() for name, one in policy.state_dict().items()}))
        return policy

    monkeypatch.setattr(script, "make_policy", spied)
    return made


def normaliser(folder):
    (file,) = folder.glob("policy_preprocessor_step_*_normalizer_processor.safetensors")
    return load_file(file)


@pytest.mark.parametrize(
    ("family", "by"), [("smolvla", "path"), ("smolvla", "pretrained_path"), ("multi_task_dit", "path")]
)
def test_a_stock_checkpoint_goes_on_as_its_ambient_type(
    family, by, stock_checkpoint, tiny_config, pictured, tmp_path, lerobot_train, policies
):
    from ...policy.flow.tiny import as_arguments

    cameras = ("observation.images.front",)
    base = stock_checkpoint(family, cameras=cameras)
    options = [f"--policy.{by}={base}", RENAMED]
    if by == "pretrained_path":
        options += as_arguments(tiny_config(family, cameras=cameras), f"ambient_{family}")
        options += [
            '--policy.input_features={"observation.images.front": {"type": "VISUAL", "shape": [3, 32, 32]}, '
            '"observation.state": {"type": "STATE", "shape": [6]}}'
        ]
    output = tmp_path / "run"
    lerobot_train([*words(pictured, output), *options])
    ((policy, weights),) = policies
    stored = load_file(base / "model.safetensors")
    assert type(policy).name == f"ambient_{family}"
    assert stored.keys() <= weights.keys()
    assert all(torch.equal(weights[name], stored[name]) for name in stored)
    last = output / "checkpoints/last/pretrained_model"
    config = json.loads((last / "config.json").read_text())
    assert config["type"] == f"ambient_{family}"
    assert [record["name"] for record in config["mixture_record"]] == ["me/target", "me/sim"]
    stats = json.loads((pictured[0] / "meta/stats.json").read_text())
    ours = normaliser(last)
    for key in ("action.mean", "action.std", "observation.state.mean"):
        feature, _, name = key.rpartition(".")
        assert torch.allclose(ours[key], torch.tensor(stats[feature][name], dtype=torch.float32), atol=1e-5), key


def test_options_of_a_mixture_alone_are_enough(stock_checkpoint, pictured, tmp_path, lerobot_train, policies):
    base = stock_checkpoint("smolvla", cameras=("observation.images.front",))
    options = [f"--policy.path={base}", RENAMED, "--policy.mixing.type=target_only"]
    lerobot_train([*words(pictured, tmp_path / "run", sources=False), *options])
    assert type(policies[0][0]).name == "ambient_smolvla"


def test_a_base_without_noise_levels_is_refused_with_what_serves(tmp_path, pictured, command):
    from lerobot.policies.act.configuration_act import ACTConfig

    ACTConfig(device="cpu", push_to_hub=False)._save_pretrained(tmp_path)
    code, told = command("lerobot_train", *words(pictured, tmp_path / "run"), f"--policy.path={tmp_path}")
    assert code == 1
    assert "--policy.sources: the checkpoint" in told
    assert "is of type act. It has no ambient form: it predicts actions directly" in told
    assert "Use ambient_diffusion, ambient_smolvla" in told


def test_sources_beside_a_path_in_a_file_are_not_lost(stock_checkpoint, pictured, tmp_path, command, monkeypatch):
    from lerobot.configs import parser

    # LeRobot keeps what it read of a file until the process ends.
    for kept in ("_config_path_args", "_config_yaml_overrides"):
        monkeypatch.setattr(parser, kept, {})
    target, sim = pictured
    policy = {"path": str(stock_checkpoint("smolvla")), "push_to_hub": False}
    policy["sources"] = [{"repo_id": "me/sim", "root": str(sim), "sigma_min": 0.3}]
    file = tmp_path / "mine.yaml"
    file.write_text(yaml.safe_dump({"policy": policy, "dataset": {"repo_id": "me/target", "root": str(target)}}))
    code, told = command("lerobot_train", f"--config_path={file}", f"--output_dir={tmp_path / 'run'}", *STEPS)
    assert code == 1
    assert "beside policy.path LeRobot does not read policy.sources from a file" in told
    assert not (tmp_path / "run").exists()


def test_weights_that_cannot_be_read_are_an_error(stock_checkpoint, pictured, tmp_path, command):
    base = stock_checkpoint("smolvla", cameras=("observation.images.front",))
    file = base / "model.safetensors"
    file.write_bytes(file.read_bytes()[:5000])
    code, told = command("lerobot_train", *words(pictured, tmp_path / "run"), f"--policy.path={base}", RENAMED)
    assert code == 1
    assert f"error: the weights of '{base}' were not loaded into AmbientSmolVLAPolicy" in told
    assert "Traceback" not in told


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--policy.type=smolvla", "--policy.sources=[]"], "write --policy.type=ambient_smolvla."),
        (["--policy.type=act", "--policy.sources=[]"], "It has no ambient form: it predicts actions directly"),
        (["--policy.path={base}", "--policy.souces=[]"], "no option --policy.souces; did you mean --policy.sources"),
    ],
)
def test_sources_of_a_stock_type_are_answered(options, told, stock_checkpoint, pictured, tmp_path, command):
    base = stock_checkpoint("smolvla") if "{base}" in options[0] else ""
    given = [option.format(base=base) for option in options]
    code, error = command("lerobot_train", *words(pictured, tmp_path / "run", sources=False), *given)
    assert code in (1, 2)
    assert told in error
    assert "Traceback" not in error


def test_what_goes_on_from_a_checkpoint_can_be_inspected(stock_checkpoint, pictured, tmp_path, capsys):
    from lerobot.configs import parser

    from lerobot_ambient.cli.__main__ import main

    base = stock_checkpoint("smolvla", cameras=("observation.images.front",))
    given = [word for word in words(pictured, tmp_path / "run") if word not in STEPS]
    assert main(["inspect", f"--policy.path={base}", *given]) == 0
    assert "256 (100 %)" in capsys.readouterr().out
    file = tmp_path / "mine.yaml"
    file.write_text(yaml.safe_dump({"policy": {"path": str(base), "push_to_hub": False}}))
    assert main(["inspect", f"--config_path={file}", *given]) == 0
    assert "256 (100 %)" in capsys.readouterr().out
    assert "policy" not in parser._config_path_args
    assert main(["inspect", f"--policy.path={base}x", *given]) == 2
    assert f"did you mean --policy.path={base}?" in capsys.readouterr().err


def test_a_missing_extra_is_named_before_data_are_read(monkeypatch):
    from lerobot.configs import PreTrainedConfig

    from lerobot_ambient.integration.training import fine_tuning

    monkeypatch.setattr(fine_tuning, "is_package_available", lambda name: False)
    config = PreTrainedConfig.get_choice_class("ambient_pi05")(device="cpu")
    with pytest.raises(ImportError, match=r"--policy.type=ambient_pi05 needs .* pip install 'lerobot\[pi\]'"):
        fine_tuning.require_model(config)


def test_a_mixture_is_opened_for_another_type(pictured):
    import lerobot_ambient as la

    target, sim = pictured
    opened = [la.Source("me/target", root=str(target)), [la.Source("me/sim", root=str(sim), sigma_min=0.3)]]
    mix = la.Mixture.open(*opened, policy_type="ambient_smolvla", chunk_size=8, n_action_steps=4, device="cpu")
    assert mix.plan.schedule.unit == "cells"
    assert next(iter(mix.loader(batch_size=2)))["action"].shape == (2, 8, 6)
    with pytest.raises(ValueError, match="horizon is no option of the policy ambient_smolvla"):
        la.Mixture.open(*opened, policy_type="ambient_smolvla", horizon=8)
    with pytest.raises(ValueError, match="did you mean ambient_smolvla"):
        la.Mixture.open(*opened, policy_type="ambient_smolvlaa")


def test_init_writes_a_configuration_of_another_type(pictured, tmp_path, capsys):
    from lerobot_ambient.cli.__main__ import main

    target, sim = pictured
    file = tmp_path / "mine.yaml"
    given = ["init", f"--target=me/target={target}", f"--source=me/sim={sim}", f"--write={file}"]
    assert main([*given, "--policy.type=ambient_smolvla", "--policy.pretrained_path=me/base"]) == 0
    written = yaml.safe_load(file.read_text())["policy"]
    assert (written["type"], written["pretrained_path"]) == ("ambient_smolvla", "me/base")
    capsys.readouterr()
    assert main([*given, "--overwrite", "--policy.path=me/base"]) == 2
    assert "name the type and its weights" in capsys.readouterr().err
    assert main([*given, "--overwrite", "--small", "--policy.type=ambient_smolvla"]) == 2
    assert "--small is of ambient_diffusion's own network" in capsys.readouterr().err
