# SPDX-License-Identifier: Apache-2.0
"""What LeRobot's own commands say of an option of ours that does not fit: one last line, with the value and the fix."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any
from urllib.error import URLError

import draccus
import pytest
from lerobot.configs import FeatureType, PolicyFeature

from lerobot_ambient.data.declared.alignment import CameraConfig, DimensionConfig
from lerobot_ambient.data.declared.sources import Source
from lerobot_ambient.integration.errors import error_report, option_errors
from lerobot_ambient.policy.diffusion.configuration_ambient_diffusion import AmbientDiffusionConfig
from lerobot_ambient.policy.diffusion.diffusion_model import AmbientDiffusionModel
from lerobot_ambient.policy.options.mixing import AmbientConfig

OURS = ("--policy.type=ambient_diffusion", "--policy.push_to_hub=false", "--policy.device=cpu")
TARGET = ("--dataset.repo_id=me/target", "--dataset.root=nowhere")


def told(**policy: Any) -> str:
    """What a command says when draccus cannot make a policy's configuration of these values."""
    with pytest.raises(Exception) as caught:
        draccus.decode(AmbientDiffusionConfig, {"device": "cpu", "push_to_hub": False, **policy})
    message = option_errors.explain(caught.value, "policy.")
    assert message is not None
    assert "\n" not in message
    return message


def source(**values: Any) -> dict[str, Any]:
    return {"sources": [{"repo_id": "me/sim", **values}]}


def dimension(**values: Any) -> dict[str, Any]:
    return source(dimensions={"action": {"gripper": values}})


def camera(**values: Any) -> dict[str, Any]:
    return source(cameras={"observation.images.top": values})


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        (source(sigma_min=1.5), ("policy.sources[0]: source 'me/sim': sigma_min = 1.5", "r / sqrt(1 + r^2)")),
        (source(sigma_max=-0.1), ("sigma_max = -0.1 is outside [0, 1]",)),
        (source(sigma_min=float("nan")), ("sigma_min = nan is outside [0, 1]",)),
        (source(sigma_min=1.0), ("admits nothing", "lower sigma_min")),
        (source(sigma_min=0.3, windows="w.parquet"), ("w.parquet", "sigma_min=0.3", "keep one")),
        (source(weight=0), ("weight must be positive", "got 0")),
        (source(fps=-30), ("fps must be positive", "got -30")),
        (source(episodes=[]), ("'me/sim': the list of episodes is empty", "leave it out")),
        (source(episodes=[1, 1]), ("episodes [1] are listed more than once",)),
        (source(normalization="mine"), ("one of target, own; got 'mine'",)),
        (source(action_type="steps"), ("one of absolute, delta; got 'steps'",)),
        ({"sources": [{"sigma_min": 0.3}]}, ("policy.sources[0]: a source needs a repo_id, e.g. sources:",)),
        (source(sigma_mn=0.3), ("policy.sources[0]: there is no sigma_mn here; did you mean sigma_min?",)),
        ({"sources": "me/sim"}, ("'me/sim' is not a list; write --policy.sources='[{\"repo_id\": \"me/sim\"}]'",)),
        ({"sources": "[{repo_id: me/sim}]"}, ('write --policy.sources=\'[{"repo_id": "me/sim"}]\'',)),
        (dimension(fill=float("inf")), ("policy.sources[0].dimensions.action.gripper: a dimension's fill must be",)),
        (dimension(scale=0), ("sources[0].dimensions.action.gripper", "scale not 0; got 0")),
        (dimension(take="a", mask=True), ("gives take and mask; keep one",)),
        (dimension(interpolation="cubic"), ("one of linear, nearest; got 'cubic'",)),
        (dimension(scal=2), ("there is no scal here; did you mean scale?",)),
        (camera(fit="zoom"), ("sources[0].cameras.observation.images.top", "one of stretch, pad, crop; got 'zoom'")),
        (camera(fill=2), ("policy.sources[0].cameras", "[0, 1]", "2")),
        ({"mixing": {"alpha": 1.5}}, ("alpha = 1.5 must lie strictly between 0 and 1", "mixing.type=target_only")),
        ({"mixing": {"type": "cotrain", "alpha": 0}}, ("alpha = 0.0 must lie strictly between",)),
        ({"mixing": {"type": "soft"}}, ("soft ambient needs", "mixing: {type: soft, sigmas: [0.0, 1.0]")),
        ({"mixing": {"type": "soft", "sigmas": [1, 0], "clean_shares": [1, 0]}}, ("sigmas must grow strictly",)),
        ({"mixing": {"type": "sft"}}, ("policy.mixing: type 'sft' is unknown; did you mean soft?",)),
        ({"mixing": {"alfa": 0.5}}, ("policy.mixing: there is no alfa here; did you mean alpha?",)),
        ({"denoiser": "transformer"}, ("policy.denoiser = 'transformer'", "unet, mlp")),
        ({"target_action_type": "steps"}, ("policy.target_action_type = 'steps'", "absolute, delta, or null")),
        ({"mlp_width": 0}, ("policy.mlp_width", "must be positive, got 0")),
        ({"ema_decay": 1.0}, ("policy.ema_decay must lie in (0, 1), or null for none; got 1.0",)),
        ({"ambient_loss_max_amplification": 1}, ("must exceed 1, got 1",)),
        ({"horizon": 16, "n_obs_steps": 2, "n_action_steps": 16}, ("n_action_steps = 16 exceeds", "= 15")),
        ({"horizon": 15}, ("policy: ", "Got self.horizon=15", "downsampling")),
        ({"vision_backbone": "vgg"}, ("policy: ", "ResNet", "vgg")),
        ({"horizont": 16}, ("policy: there is no horizont here; did you mean horizon?",)),
    ],
)
def test_every_refusal_of_ours_names_the_value_and_the_fix(policy, expected):
    message = told(**policy)
    assert [part for part in expected if part not in message] == [], message


ANYTHING = ("str", "None | str", "str | None", "Path")


@pytest.mark.parametrize(
    ("cls", "wrap", "place"),
    [
        (Source, source, "policy.sources[0]."),
        (DimensionConfig, dimension, "policy.sources[0].dimensions.action.gripper."),
        (CameraConfig, camera, "policy.sources[0].cameras.observation.images.top."),
        (AmbientConfig, lambda **values: {"mixing": values}, "policy.mixing."),
        (AmbientDiffusionConfig, dict, "policy."),
    ],
)
def test_a_value_of_another_kind_is_named_with_the_place_it_stands_at(cls, wrap, place):
    """Every option, those to come as well: a word where a number, a list or a mapping belongs."""
    inherited = {field.name for base in cls.__mro__[1:] for field in getattr(base, "__dataclass_fields__", {}).values()}
    own = [field for field in fields(cls) if field.name not in inherited or cls is AmbientConfig]
    tried = [field.name for field in own if str(field.type) not in ANYTHING]
    assert tried
    for name in tried:
        assert told(**wrap(**{name: "some word"})).startswith(f"{place}{name}: "), name


def test_the_default_mixing_takes_its_options_without_a_type():
    config = draccus.decode(AmbientDiffusionConfig, {"device": "cpu", "push_to_hub": False, "mixing": {"alpha": 0.25}})
    assert config.mixing == AmbientConfig(alpha=0.25)


def test_options_are_paired_with_their_values_also_where_there_are_none():
    assert list(error_report.options_of([])) == []
    words = ["--a=1", "--b", "2", "--c"]
    assert list(error_report.options_of(words)) == [("--a", "1"), ("--b", "2"), ("2", "--c"), ("--c", "")]


def test_a_program_without_words_reads_a_configuration(monkeypatch):
    """A notebook, a worker of the tests: nothing but its name on the command line."""
    monkeypatch.setattr(sys, "argv", ["program"])
    assert not option_errors.ours_are_meant([])
    assert draccus.parse(AmbientDiffusionConfig, args=[]).horizon == AmbientDiffusionConfig().horizon


def test_lerobot_train_ends_with_our_line(command):
    code, err = command("lerobot_train", *OURS, *TARGET, "--policy.sources=[{repo_id: me/sim, sigma_min: 1.5}]")
    assert code == 1
    assert "Traceback" not in err
    assert err.splitlines()[-1].startswith("error: policy.sources[0]: source 'me/sim': sigma_min = 1.5 is outside")


def test_a_misspelt_option_is_answered_with_the_nearest(command):
    code, err = command("lerobot_train", *OURS, *TARGET, "--policy.sorces=[]", "--alpha", "0.5")
    assert code == 2
    assert err.splitlines()[-1] == (
        "lerobot-train: error: there is no option --policy.sorces, --alpha; "
        "did you mean --policy.sources or --policy.mixing.alpha?"
    )
    assert "usage:" not in err


def test_other_policies_are_answered_as_before(command):
    code, err = command("lerobot_train", "--policy.type=diffusion", "--dataset.repo_id=x", "--policy.horzon=many")
    assert code == 2
    assert "usage:" in err
    assert err.endswith("error: unrecognized arguments: --policy.horzon=many\n")


def test_lerobot_eval_ends_with_our_line(command, tmp_path):
    config = AmbientDiffusionConfig(device="cpu", push_to_hub=False)
    config._save_pretrained(tmp_path)
    code, err = command("lerobot_eval", f"--policy.path={tmp_path}", "--policy.ema_decay=2", "--env.type=ambient_maze")
    assert (code, "Traceback" in err) == (1, False)
    assert err.splitlines()[-1] == "error: policy.ema_decay must lie in (0, 1), or null for none; got 2.0."


@pytest.mark.parametrize(
    ("option", "value", "expected"),
    [
        ("config_path", "nope.yaml", "no such file in "),
        ("config_path", "outputs/nope", "no such file or folder here, nor a model in the cache of the Hub."),
        ("policy.path", "outputs/nope/pretrained_model", "no such file or folder here, nor a model in the cache of"),
        ("policy.path", ".", "the folder has no config.json; give the one called pretrained_model."),
    ],
)
def test_a_path_that_is_not_there_is_not_blamed_on_the_hub(command, tmp_path, monkeypatch, option, value, expected):
    monkeypatch.chdir(tmp_path)
    code, err = command("lerobot_train", f"--{option}={value}", *TARGET)
    assert code == 1
    assert "Traceback" not in err
    assert f"error: --{option}={value}: {expected}" in err.splitlines()[-1]


def test_debug_keeps_the_traceback(command, monkeypatch):
    monkeypatch.setenv(error_report.DEBUG, "1")
    monkeypatch.setattr(option_errors, "_place", lambda error: ((), None))
    _, err = command("lerobot_train", "--config_path=nope.yaml")
    assert "Traceback" in err


def test_only_what_we_raise_for_users_loses_its_traceback(tmp_path):
    def of(action: Callable[[], Any]) -> str | None:
        try:
            action()
        except Exception as error:
            return error_report.message_of(error)
        raise AssertionError

    assert of(lambda: Source(repo_id="me/sim", weight=0.0)) is not None
    # Raised below one of our functions, by a function that it calls: a bug, of which the traceback tells.
    assert of(lambda: DimensionConfig(scale="a")) is None  # type: ignore[arg-type]
    assert of(lambda: [][0]) is None


def test_an_error_in_a_loader_s_worker_is_told_like_any_other():
    text = (
        "Caught ValueError in DataLoader worker process 0.\nOriginal Traceback (most recent call last):\n"
        '  File "{}", line 5, in read\n    raise ValueError("lost")\nValueError: episode 3 is lost;\nbring it back\n'
    )
    ours = str(Path(error_report.__file__).parents[1] / "data" / "columns.py")
    assert error_report.message_of(ValueError(text.format(ours))) == "episode 3 is lost;\nbring it back"
    assert error_report.message_of(ValueError(text.format("torch/data.py"))) is None


@pytest.mark.parametrize(
    ("left", "expected"),
    [
        ('{"total_episodes": 0}', "exists, but holds no episode: an attempt left it that ended before its first one"),
        ('{"total_episodes": 3}', "holds 3 episodes. --resume=true adds --dataset.num_episodes more"),
        ("{", "exists and is no dataset of LeRobot's; give another --dataset.root"),
        (None, "exists and is no dataset of LeRobot's; give another --dataset.root"),
    ],
)
def test_a_recording_into_a_folder_that_exists_is_told_how_to_go_on(tmp_path, left, expected):
    from lerobot.datasets.lerobot_dataset import LeRobotDataset

    (tmp_path / "pick" / "meta").mkdir(parents=True)
    if left is not None:
        (tmp_path / "pick" / "meta" / "info.json").write_text(left)
    with pytest.raises(FileExistsError) as caught:
        LeRobotDataset.create(repo_id="me/pick", fps=30, features={}, root=tmp_path / "pick")
    message = error_report.message_of(caught.value)
    assert message is not None and message.startswith(f"{tmp_path / 'pick'} ") and expected in message


def test_another_folder_that_exists_is_no_recording_s(tmp_path):
    with pytest.raises(FileExistsError) as caught:
        tmp_path.mkdir()
    assert error_report.message_of(caught.value) is None


def test_the_robot_client_ends_with_our_line(command, monkeypatch, tmp_path):
    """Its parser is draccus' own, without LeRobot's wrapping."""
    monkeypatch.chdir(tmp_path)  # It writes a log beside it when it is imported.
    pytest.importorskip("grpc", reason="the extra `async` is not installed")
    code, err = command("lerobot.async_inference.robot_client", "--robot.type=ambient_arm")
    assert (code, "Traceback" in err) == (2, False)
    assert "error: --robot.type=ambient_arm is unknown; " in err.splitlines()[-1]


def test_the_program_itself_ends_with_our_line(tmp_path, preloaded_python):
    """A process of its own, as a user starts it: the hook is in place when the options are read."""
    words = ("-m", "lerobot.scripts.lerobot_train", *OURS, *TARGET, "--policy.ema_decay=2")
    done = subprocess.run([preloaded_python, *words], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1] == "error: policy.ema_decay must lie in (0, 1), or null for none; got 2.0."


def test_a_refusal_inside_lerobot_s_training_ends_with_our_line(command, write_dataset, tmp_path):
    target = write_dataset(tmp_path / "target", "me/target", [20])
    lacking = f"--policy.sources=[{{repo_id: me/sim, root: {target}}}]"
    words = ("--dataset.repo_id=me/target", f"--dataset.root={target}", f"--output_dir={tmp_path / 'out'}")
    code, err = command("lerobot_train", *OURS, *words, "--num_workers=0", "--env_eval_freq=0", lacking)
    assert (code, "Traceback" in err) == (1, False)
    assert err.splitlines()[-1].startswith("error: the target is among the sources: 'me/sim'")


def test_weights_that_cannot_be_downloaded_are_told_with_the_option_that_does_without(monkeypatch):
    def unreachable(*args, **kwargs):
        raise URLError("no network")

    monkeypatch.setattr("torchvision.models.resnet18", unreachable)
    config = AmbientDiffusionConfig(device="cpu", push_to_hub=False, pretrained_backbone_weights="IMAGENET1K_V1")
    config.use_group_norm = False
    config.input_features = {
        "observation.state": PolicyFeature(FeatureType.STATE, (2,)),
        "observation.images.cam": PolicyFeature(FeatureType.VISUAL, (3, 96, 96)),
    }
    config.output_features = {"action": PolicyFeature(FeatureType.ACTION, (2,))}
    with pytest.raises(
        OSError, match=r"could not be downloaded \(no network\).*--policy.pretrained_backbone_weights=null"
    ):
        AmbientDiffusionModel(config)


@pytest.mark.parametrize(("option", "least"), [("batch_size", 1), ("num_workers", 0)])
def test_a_loader_that_cannot_be_is_refused_before_the_data_are_read(command, tmp_path, option, least):
    words = (*TARGET, f"--output_dir={tmp_path / 'out'}", "--env_eval_freq=0")
    code, err = command("lerobot_train", *OURS, *words, f"--{option}={least - 1}")
    assert (code, "Traceback" in err) == (1, False)
    assert err.splitlines()[-1] == f"error: --{option} must be at least {least}, got {least - 1}."


def test_a_configuration_that_stands_alone_is_sent_to_its_option(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("mine.yaml").write_text("policy: {type: ambient_diffusion}\n")
    code, err = command("lerobot_train", "mine.yaml")
    assert (code, "usage:" in err) == (2, False)
    assert err.endswith("error: 'mine.yaml' stands alone; did you mean --config_path=mine.yaml?\n")
