# SPDX-License-Identifier: Apache-2.0
"""A policy against the environment it is evaluated in, through `lerobot-eval`."""

import sys

import pytest
from lerobot.configs import FeatureType, PolicyFeature
from lerobot.envs.configs import EnvConfig
from lerobot.envs.utils import env_to_policy_features

import lerobot_ambient.benchmarks.tasks.configuration  # noqa: F401
from lerobot_ambient.integration.deployment.environment import differences
from lerobot_ambient.policy.diffusion.configuration_ambient_diffusion import AmbientDiffusionConfig

SMALL_POLICY = (
    "--policy.type=ambient_diffusion",
    "--policy.push_to_hub=false",
    "--policy.device=cpu",
    "--policy.denoiser=mlp",
    "--policy.horizon=8",
    "--policy.n_action_steps=4",
    "--policy.drop_n_last_frames=2",
    "--num_workers=0",
)
JOINTS = ["pan", "lift", "elbow", "flex", "roll", "gripper"]


def policy(state=6, action=6, camera=None, **options):
    config = AmbientDiffusionConfig(device="cpu", push_to_hub=False, **options)
    config.input_features = {"observation.state": PolicyFeature(FeatureType.STATE, (state,))}
    if camera is not None:
        config.input_features["observation.images.top"] = PolicyFeature(FeatureType.VISUAL, camera)
    config.output_features = {"action": PolicyFeature(FeatureType.ACTION, (action,))}
    return config


def environment(size=6, camera=None):
    features = {
        "action": PolicyFeature(FeatureType.ACTION, (size,)),
        "observation.state": PolicyFeature(FeatureType.STATE, (size,)),
    }
    if camera is not None:
        features["observation.images.front"] = PolicyFeature(FeatureType.VISUAL, camera)
    return features


def test_the_environment_of_the_target_is_welcome():
    assert differences(policy(), environment(camera=(3, 48, 64)), {}) == []
    renamed = {"observation.images.front": "observation.images.top"}
    assert differences(policy(camera=(3, 48, 64)), environment(camera=(3, 48, 64)), renamed) == []
    sized = policy(camera=(3, 48, 64), resize_shape=(48, 64))
    assert differences(sized, environment(camera=(3, 96, 96)), renamed) == []


def test_other_sizes_and_what_is_not_given_are_told_with_both_sides():
    action, state, camera = differences(policy(camera=(3, 48, 64)), environment(size=2), {})
    assert action == "  action: the policy has 6 dimensions, the environment 2."
    assert state == "  observation.state: the policy has 6 dimensions, the environment 2."
    assert camera.startswith("  observation.images.top: the policy needs it, the environment gives ['observation.st")
    renamed = {"observation.images.front": "observation.images.top"}
    (line,) = differences(policy(camera=(3, 48, 64)), environment(camera=(3, 96, 96)), renamed)
    assert "(channels, height, width) (3, 48, 64), the environment (3, 96, 96)" in line


def test_where_the_environment_has_a_processor_of_its_own_the_action_alone_is_compared():
    assert differences(policy(), {"action": PolicyFeature(FeatureType.ACTION, (6,))}, {}) == []


@pytest.mark.parametrize("kind", [kind for kind in EnvConfig.get_known_choices() if kind.startswith("ambient_")])
def test_each_task_s_environment_fits_a_policy_of_its_own_features(kind):
    features = env_to_policy_features(EnvConfig.get_choice_class(kind)())
    config = AmbientDiffusionConfig(device="cpu", push_to_hub=False)
    config.output_features = {key: ft for key, ft in features.items() if ft.type is FeatureType.ACTION}
    config.input_features = {key: ft for key, ft in features.items() if key not in config.output_features}
    assert differences(config, features, {}) == []


def test_lerobot_eval_refuses_a_policy_of_an_arm_in_a_maze(tmp_path, monkeypatch):
    from lerobot.scripts import lerobot_eval

    config = policy()
    config.feature_names = {"action": JOINTS, "observation.state": JOINTS}
    config._save_pretrained(tmp_path)
    options = [f"--policy.path={tmp_path}", "--env.type=ambient_maze", f"--output_dir={tmp_path / 'out'}"]
    monkeypatch.setattr(sys, "argv", ["lerobot-eval", *options, "--eval.batch_size=1", "--eval.n_episodes=1"])
    with pytest.raises(ValueError, match=r"does not fit the environment ambient_maze") as caught:
        lerobot_eval.eval_main()
    assert f"action: the policy has 6 dimensions ({', '.join(JOINTS)}), the environment 2." in str(caught.value)


def test_a_training_is_refused_before_the_evaluation_that_would_fail(lerobot_train, roots, tmp_path):
    options = [*SMALL_POLICY, "--dataset.repo_id=me/target", f"--dataset.root={roots[0]}", "--steps=1"]
    options += [f"--output_dir={tmp_path / 'out'}", "--env.type=ambient_maze"]
    with pytest.raises(ValueError, match=r"observation.environment_state: the policy .* the environment"):
        lerobot_train([*options, "--env_eval_freq=1"])
