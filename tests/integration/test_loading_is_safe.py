# SPDX-License-Identifier: Apache-2.0
"""Loading a checkpoint runs nothing from it, and needs no training data."""

import contextlib
import json
import pickle

import pytest
import torch


@pytest.fixture
def checkpoint(tmp_path):
    """A checkpoint trained, so it says, on data that is nowhere; a Python file and a pickle lie beside it."""
    from lerobot.configs import FeatureType, PolicyFeature
    from lerobot.policies import make_pre_post_processors

    from lerobot_ambient.data.declared.sources import Source
    from lerobot_ambient.policy.diffusion.configuration_ambient_diffusion import AmbientDiffusionConfig
    from lerobot_ambient.policy.diffusion.modeling_ambient_diffusion import AmbientDiffusionPolicy

    network = {"denoiser": "mlp", "mlp_width": 16, "mlp_depth": 1, "horizon": 8, "n_action_steps": 4}
    config = AmbientDiffusionConfig(
        device="cpu",
        push_to_hub=False,
        **network,
        num_inference_steps=2,
        mixture_fingerprint=["target me/gone", "source me/gone_too"],
    )
    config.input_features = {"observation.state": PolicyFeature(FeatureType.STATE, (3,))}
    config.output_features = {"action": PolicyFeature(FeatureType.ACTION, (3,))}
    stats = {key: {"min": -torch.ones(3), "max": torch.ones(3)} for key in ("action", "observation.state")}
    policy = AmbientDiffusionPolicy(config)
    config.sources = [Source("me/gone", root=str(tmp_path / "nowhere"), sigma_min=0.3)]
    folder = tmp_path / "policy"
    policy.save_pretrained(folder)
    for processor in make_pre_post_processors(config, dataset_stats=stats):
        processor.save_pretrained(folder)
    for name in ("modeling_ambient_diffusion.py", "sitecustomize.py", "__init__.py"):
        (folder / name).write_text("raise SystemExit('the checkpoint ran')")
    for name in ("pytorch_model.bin", "optimizer_state.pkl"):
        (folder / name).write_bytes(b"cos\nabort\n(tR.")
    return folder


def load(folder):
    from lerobot.configs import PreTrainedConfig
    from lerobot.policies import get_policy_class, make_pre_post_processors

    config = PreTrainedConfig.from_pretrained(folder)
    policy = get_policy_class(config.type).from_pretrained(folder, config=config)
    return policy, *make_pre_post_processors(config, pretrained_path=str(folder))


def test_it_acts_without_its_data_and_nothing_is_unpickled(checkpoint, monkeypatch, tmp_path):
    def refuse(*args, **kwargs):
        raise AssertionError("a pickle was opened")

    monkeypatch.chdir(checkpoint)
    for module, names in ((pickle, ("load", "loads", "Unpickler")), (torch, ("load",))):
        for name in names:
            monkeypatch.setattr(module, name, refuse)
    policy, before, after = load(checkpoint)
    action = after(policy.select_action(before({"observation.state": torch.zeros(1, 3)})))
    assert action.shape == (1, 3)
    assert torch.isfinite(action).all()
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize("name", ["policy_preprocessor.json", "policy_postprocessor.json"])
def test_a_processor_that_names_a_class_is_refused(checkpoint, tmp_path, name):
    touched = tmp_path / "touched"
    file = checkpoint / name
    written = json.loads(file.read_text())
    written["steps"].insert(0, {"class": "pathlib.Path", "config": {}})
    written["steps"].insert(0, {"class": "subprocess.Popen", "config": {"args": ["touch", str(touched)]}})
    file.write_text(json.dumps(written))
    with pytest.raises(ValueError, match=rf"{name} names the class 'subprocess.Popen'"):
        load(checkpoint)
    assert not touched.exists()


@pytest.mark.parametrize(("offline", "passes"), [(True, True), (False, False)])
def test_a_hub_that_does_not_answer_is_no_excuse(monkeypatch, offline, passes):
    from huggingface_hub.errors import LocalEntryNotFoundError

    from lerobot_ambient.policy.shared import safe_loading

    def lost(*args, **kwargs):
        raise LocalEntryNotFoundError("the connection was lost")

    monkeypatch.setattr(safe_loading, "hf_hub_download", lost)
    monkeypatch.setattr(safe_loading.constants, "HF_HUB_OFFLINE", offline)
    with contextlib.nullcontext() if passes else pytest.raises(LocalEntryNotFoundError):
        safe_loading.refuse_foreign_steps("me/policy")


def test_lerobot_alone_would_call_it(tmp_path):
    """The reason for the check: when this fails, LeRobot has closed the door."""
    from lerobot.processor import PolicyProcessorPipeline

    made = tmp_path / "made"
    step = {"class": "os.mkdir", "config": {"path": str(made)}}
    (tmp_path / "policy_preprocessor.json").write_text(json.dumps({"name": "x", "steps": [step]}))
    # Whatever it says about what the call returned.
    with contextlib.suppress(Exception):
        PolicyProcessorPipeline.from_pretrained(tmp_path, config_filename="policy_preprocessor.json")
    assert made.is_dir()
