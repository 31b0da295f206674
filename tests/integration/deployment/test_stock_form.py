# SPDX-License-Identifier: Apache-2.0
"""`lerobot-ambient export`: the stock policy acts as the ambient one did, and what cannot act so is refused."""

import json
import subprocess

import pytest
import torch
from lerobot.configs import FeatureType, PolicyFeature, PreTrainedConfig
from lerobot.policies.factory import get_policy_class, make_pre_post_processors
from safetensors.torch import load_file

from lerobot_ambient.cli.__main__ import main
from lerobot_ambient.policy.diffusion.configuration_ambient_diffusion import AmbientDiffusionConfig
from lerobot_ambient.policy.options.mixture_options import MixtureOptions, ambient_types

from ...policy.flow.mixtures import ambient_config
from ...policy.flow.tiny import observation, statistics, stir, tiny_multi_task_dit, tiny_smolvla

STATE, CAMERA = "observation.state", "observation.images.front"

# As a LeRobot without this package loads and acts: argv is the checkpoint, the observation, and where actions go.
STOCK = """
import sys, torch
from lerobot.configs import PreTrainedConfig
from lerobot.policies.factory import get_policy_class, make_pre_post_processors
checkpoint, seen, acted = sys.argv[1:]
config = PreTrainedConfig.from_pretrained(checkpoint)
policy = get_policy_class(config.type).from_pretrained(checkpoint, config=config)
pre, post = make_pre_post_processors(config, checkpoint)
torch.manual_seed(3)
torch.save([post(policy.select_action(pre(torch.load(seen)))) for _ in range(5)], acted)
assert "lerobot_ambient" not in sys.modules
"""


def small_diffusion(**options):
    features = {
        "input_features": {
            STATE: PolicyFeature(FeatureType.STATE, (6,)),
            "observation.environment_state": PolicyFeature(FeatureType.ENV, (2,)),
        },
        "output_features": {"action": PolicyFeature(FeatureType.ACTION, (6,))},
    }
    small = {"down_dims": (8, 16), "n_groups": 4, "diffusion_step_embed_dim": 8, "horizon": 8, "n_action_steps": 4}
    small |= {"num_inference_steps": 2, "num_train_timesteps": 10, "device": "cpu", "push_to_hub": False}
    return AmbientDiffusionConfig(**(features | small | options))


def save(folder, config):
    """A checkpoint as training leaves it, with what is written of the mixture, and its policy."""
    config.mixture_fingerprint = ["me/target: ...", "me/sim: ..."]
    config.feature_names = {"action": list("abcdef")}
    policy = get_policy_class(config.type)(config)
    stir(policy)
    if getattr(policy, "averaged", None) is not None:
        policy.update()
        stir(policy.diffusion, seed=1)
    policy.save_pretrained(folder)
    for processor in make_pre_post_processors(config, dataset_stats=statistics(config)):
        processor.save_pretrained(folder)
    (folder / "train_config.json").write_text("{}")
    (folder / "README.md").write_text("A card.")
    return policy.eval()


def actions(policy, checkpoint, config, seen):
    pre, post = make_pre_post_processors(config, str(checkpoint))
    policy.reset()
    torch.manual_seed(3)
    return [post(policy.select_action(pre(dict(seen)))) for _ in range(5)]


def exported(checkpoint, output, capsys):
    capsys.readouterr()
    assert main(["export", str(checkpoint), f"--output-dir={output}"]) == 0
    config = PreTrainedConfig.from_pretrained(output)
    assert capsys.readouterr().out == f"written: {output}, policy type {config.type}\n"
    return get_policy_class(config.type).from_pretrained(output, config=config), config


@pytest.mark.parametrize("case", ["multi_task_dit", "diffusion", "averaged"])
def test_the_stock_policy_acts_bit_for_bit_as_the_ambient_one(case, tmp_path, capsys):
    if case == "multi_task_dit":
        pytest.importorskip("transformers")
        config = ambient_config(tiny_multi_task_dit(tmp_path))
    else:
        config = small_diffusion(ema_decay=0.9 if case == "averaged" else None)
    ours = save(tmp_path / "ours", config)
    stock, its_config = exported(tmp_path / "ours", tmp_path / "deep" / "stock", capsys)
    assert its_config.type == config.type.removeprefix("ambient_")
    assert not isinstance(its_config, MixtureOptions) and type(stock).__module__.startswith("lerobot.")
    seen = observation(config)
    theirs = actions(stock, tmp_path / "deep" / "stock", its_config, seen)
    assert all(torch.equal(a, b) for a, b in zip(actions(ours, tmp_path / "ours", config, seen), theirs, strict=True))


def contents(folder):
    """The files below a folder; a LeRobot after 0.6.1 puts a tokenizer into a folder of its own."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_lerobot_without_this_package_loads_a_smolvla(tmp_path, preloaded_python, capsys):
    pytest.importorskip("transformers")
    config = ambient_config(tiny_smolvla(tmp_path))
    ours = save(tmp_path / "ours", config)
    before = contents(tmp_path / "ours")
    capsys.readouterr()
    assert main(["export", str(tmp_path / "ours"), f"--output-dir={tmp_path / 'stock'}", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"written": str(tmp_path / "stock"), "type": "smolvla"}
    after = contents(tmp_path / "stock")
    kept = set(before) - {"config.json", "train_config.json", "README.md"}
    assert set(after) == kept | {"config.json"} and all(after[name] == before[name] for name in kept)
    seen = observation(config)
    torch.save(seen, tmp_path / "seen")
    words = [str(preloaded_python), "-P", "-c", STOCK, *(str(tmp_path / name) for name in ("stock", "seen", "acted"))]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    acted = torch.load(tmp_path / "acted")
    assert all(torch.equal(a, b) for a, b in zip(actions(ours, tmp_path / "ours", config, seen), acted, strict=True))


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ({"denoiser": "mlp"}, "policy.denoiser=mlp, and stock has the U-Net only"),
        ({"objective": "flow"}, "policy.objective=flow, and stock denoises by DDPM or DDIM only"),
        ({"relative_actions": True}, "policy.relative_actions=true, and stock predicts absolute actions"),
        ({"marked_cameras": [CAMERA]}, f"a learned vector for the absent cameras {CAMERA}"),
        ({"input_features": {STATE: PolicyFeature(FeatureType.STATE, (6,))}}, "a policy of type diffusion cannot be"),
    ],
)
def test_what_no_stock_policy_does_is_refused_and_nothing_is_left(options, found, tmp_path, capsys):
    config = small_diffusion(**options)
    (tmp_path / "ours").mkdir()
    config.save_pretrained(tmp_path / "ours")
    (tmp_path / "ours" / "model.safetensors").touch()
    assert main(["export", str(tmp_path / "ours"), f"--output-dir={tmp_path / 'stock'}"]) == 2
    assert found in capsys.readouterr().err
    assert [file.name for file in tmp_path.iterdir()] == ["ours"]


def test_what_is_there_or_is_no_ambient_checkpoint_is_refused(tmp_path, capsys):
    save(tmp_path / "ours", small_diffusion())

    def refused(checkpoint, output):
        capsys.readouterr()
        assert main(["export", str(tmp_path / checkpoint), f"--output-dir={tmp_path / output}"]) == 2
        return capsys.readouterr().err

    (tmp_path / "there").mkdir()
    assert "exists; nothing is overwritten" in refused("ours", "there")
    assert "it has no config.json" in refused("there", "stock")
    exported(tmp_path / "ours", tmp_path / "stock", capsys)
    assert "a policy of type diffusion, which LeRobot loads as it is" in refused("stock", "again")
    (tmp_path / "ours" / "model.safetensors").unlink()
    assert "has no weights: neither model.safetensors nor adapter_config.json" in refused("ours", "again")


def test_every_ambient_type_has_its_stock_type():
    from lerobot_ambient.integration.deployment.stock_form import stock_of

    kinds = {kind: stock_of(PreTrainedConfig.get_choice_class(kind)) for kind in ambient_types()}
    assert kinds == {kind: kind.removeprefix("ambient_") for kind in kinds}


def test_averaged_weights_are_those_exported(tmp_path, capsys):
    ours = save(tmp_path / "ours", small_diffusion(ema_decay=0.9))
    exported(tmp_path / "ours", tmp_path / "stock", capsys)
    written = load_file(tmp_path / "stock" / "model.safetensors")
    average = {f"diffusion.{name}": value for name, value in ours.averaged.module.state_dict().items()}
    assert written.keys() == average.keys() and all(torch.equal(written[name], average[name]) for name in written)
    assert any(not torch.equal(written[name], value) for name, value in ours.state_dict().items() if name in written)
