# SPDX-License-Identifier: Apache-2.0
"""The search space of a sweep, and the configurations made from its points."""

from __future__ import annotations

import json

import optuna
import pytest
import torch
import yaml

from lerobot_ambient.core.mixing import MixingRule
from lerobot_ambient.core.noise_levels import NoiseSchedule
from lerobot_ambient.core.plan import Group
from lerobot_ambient.core.windows import Window
from lerobot_ambient.policy.options.mixing import MixingConfig
from lerobot_ambient.sweep.config import check_space, decode, eval_config, load_base, train_config
from lerobot_ambient.sweep.space import Space, is_read, read_space

OPTIONS = [
    "--dataset.repo_id=me/target",
    "--dataset.root=/data/target",
    '--policy.sources=[{"repo_id": "me/sim", "root": "/data/sim", "sigma_min": 0.3}, {"repo_id": "me/web"}]',
    *("--policy.type=ambient_diffusion", "--policy.device=cpu", "--policy.mixing.type=ambient"),
    *("--policy.mixing.alpha", "0.5", "--policy.optimizer_lr=1e-3"),
    *("--env.type=ambient_maze", "--eval.n_episodes=10", "--eval.batch_size=5", "--steps=100"),
]


@pytest.fixture(scope="module")
def base():
    return load_base(None, OPTIONS)


@pytest.fixture
def space_of(base):
    """The space that a mapping declares."""
    return lambda declared: read_space(json.dumps(declared), base.parsed.policy)


def draw(space: Space, count: int = 40) -> list[dict]:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    return [space.draw(study.ask()) for _ in range(count)]


def test_the_forms_of_a_declaration(space_of):
    space = space_of(
        {
            "sources.0.sigma_min": [0.05, 0.6],
            "sources.1.sigma_min": {"low": 0.001, "high": 1, "log": True},
            "sources.1.sigma_max": {"low": 0.0, "high": 0.2, "step": 0.1},
            "mlp_width": [64, 256],
            "mixing.alpha": {"choices": [0.2, 0.8]},
            "denoiser": ["mlp", "unet"],
            "ema_decay": [None, 0.99, 0.999],
            "relative_actions": {"value": True},
        }
    )
    for params in draw(space):
        assert 0.05 <= params["sources.0.sigma_min"] <= 0.6
        assert 0.001 <= params["sources.1.sigma_min"] <= 1.0
        assert params["sources.1.sigma_max"] in (0.0, 0.1, 0.2)
        assert isinstance(params["mlp_width"], int) and 64 <= params["mlp_width"] <= 256
        assert params["mixing.alpha"] in (0.2, 0.8)
        assert params["denoiser"] in ("mlp", "unet")
        assert params["ema_decay"] in (None, 0.99, 0.999)
        assert "relative_actions" not in params
        assert space.apply({"sources": [{}, {}]}, params)["relative_actions"] is True


def test_a_file_declares_the_same_as_the_command_line(tmp_path, base):
    text = '{"sources.0.sigma_min": [0.05, 0.6], "mixing.type": ["ambient", "cotrain"]}'
    (tmp_path / "space.yaml").write_text("sources.0.sigma_min: [0.05, 0.6]\nmixing.type: [ambient, cotrain]\n")
    policy = base.parsed.policy
    assert read_space(str(tmp_path / "space.yaml"), policy) == read_space(text, policy)
    assert read_space("{sources.0.sigma_min: [0.05, 0.6], mixing.type: [ambient, cotrain]}", policy) == read_space(
        text, policy
    )


def test_what_the_drawn_mixing_does_not_read_is_neither_drawn_nor_set(base, space_of):
    space = space_of(
        {
            "sources.0.sigma_min": [0.4, 0.6],
            "sources.0.weight": [1.0, 2.0],
            "mixing.alpha": [0.2, 0.4],
            "mixing.type": ["target_only", "cotrain", "ambient", "exclusive", "soft"],
            "mixing.sigmas": {"value": [0.0, 1.0]},
            "mixing.clean_shares": {"value": [1.0, 0.1]},
            "mixing.clean_shares.1": [0.2, 0.3],
        }
    )
    read = {
        "target_only": {"mixing.type"},
        "cotrain": {"mixing.type", "mixing.alpha", "sources.0.weight"},
        "ambient": {"mixing.type", "mixing.alpha", "sources.0.weight", "sources.0.sigma_min"},
        "exclusive": {"mixing.type", "sources.0.weight", "sources.0.sigma_min"},
        "soft": {"mixing.type", "mixing.clean_shares.1", "sources.0.weight", "sources.0.sigma_min"},
    }
    points = draw(space)
    assert {params["mixing.type"] for params in points} == set(read)
    for params in points:
        mixing = params["mixing.type"]
        assert set(params) == read[mixing]
        policy = space.apply(base.options["policy"], params)
        assert policy["sources"][0]["sigma_min"] == params.get("sources.0.sigma_min", 0.3)
        parsed = decode({**base.options, "policy": policy}).policy
        assert MixingConfig.get_choice_name(type(parsed.mixing)) == mixing
        if mixing == "soft":
            assert parsed.mixing.clean_shares == [1.0, params["mixing.clean_shares.1"]]
    assert base.options["policy"]["mixing"] == {"type": "ambient", "alpha": 0.5}
    check_space(base, space)


@pytest.mark.parametrize("mixing", MixingConfig.get_known_choices())
def test_options_are_left_out_just_where_the_rule_is_deaf_to_them(mixing):
    """The plan is asked: does another window, does another weight change any share?"""
    rule: MixingRule = MixingConfig.get_choice_class(mixing)(
        **({"sigmas": [0.0, 1.0], "clean_shares": [1.0, 0.1]} if mixing == "soft" else {})
    )
    schedule = NoiseSchedule(torch.linspace(0.05, 0.999, 20, dtype=torch.float64))

    def shares(sigma_min: float, weight: float) -> torch.Tensor:
        groups = [
            Group(0, "target", 10, Window(0.0, 0.0)),
            Group(1, "swept", 50, Window(sigma_min, 0.0), weight),
            Group(2, "other", 50, Window(0.5, 0.0)),
        ]
        return rule.shares(groups, schedule)

    assert (not torch.equal(shares(0.3, 1.0), shares(0.6, 1.0))) == is_read("sources.0.sigma_min", mixing)
    assert (not torch.equal(shares(0.3, 1.0), shares(0.3, 2.0))) == is_read("sources.0.weight", mixing)


def test_a_grid_has_every_distinct_point_once(space_of):
    space = space_of(
        {
            "sources.0.sigma_min": {"low": 0.1, "high": 0.3, "step": 0.1},
            "mixing.type": ["cotrain", "ambient", "target_only"],
            "mixing.alpha": {"choices": [0.2, 0.8]},
        }
    )
    points = space.grid()
    assert len(points) == 2 + 3 * 2 + 1
    assert [params["sources.0.sigma_min"] for params in points[2:8]] == [0.1, 0.1, 0.2, 0.2, 0.3, 0.3]
    assert points[-1] == {"mixing.type": "target_only"}


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        ({"sigma_min": [0, 1]}, r"'sigma_min' leads nowhere: policy holds n_obs_steps, .*sources.*mixing"),
        ({"sources.2.sigma_min": [0, 1]}, r"'sources.2.sigma_min' leads nowhere: policy.sources holds 0, 1\."),
        ({"sources.0.sigma": [0, 1]}, "policy.sources.0 holds repo_id, .*sigma_min, sigma_max, windows"),
        ({"mixing.sigmas": [0, 1, 2]}, r"policy.mixing holds type, alpha\."),
        ({"mixing.alpha.high": [0, 1]}, "policy.mixing.alpha holds nothing"),
        ({"mixing": ["ambient"]}, "'mixing' is a whole; name one of its options: type, alpha"),
        ({"sources.1": [1]}, "'sources.1' is a whole; name one of its options: repo_id, root"),
        ({"mixing.type": ["ambient", "omni"]}, "mixing.type = 'omni' is none of target_only, cotrain, ambient"),
        ({"mixing.type": "ambient"}, "'ambient' is no declaration; write"),
        ({"mixing.alpha": []}, "no declaration"),
        ({"mixing.alpha": {"low": 0.1}}, "no declaration"),
        ({"mixing.alpha": [0.8, 0.2]}, "low <= high"),
        ({"mixing.alpha": {"low": 0.0, "high": 0.2, "log": True}}, "low > 0"),
        ({"mixing.alpha": {"low": "1e-4", "high": 1}}, "in YAML not 1e-4"),
        ({"mlp_width": [64, 100.5]}, "mlp_width: .* whole numbers"),
        ({"denoiser": [1, 2]}, "a str has no range; give choices"),
        ({"mixing.sigmas": {"choices": [[0, 1]]}, "mixing.type": ["soft"]}, "a choice must be a word, a number"),
        ({"mixing.alpha": {"value": 0.5}}, "names nothing to search"),
        ({}, "names nothing to search"),
    ],
)
def test_what_is_no_space_is_refused(space_of, declared, message):
    with pytest.raises(ValueError, match=message):
        space_of(declared)


@pytest.mark.parametrize(("text", "message"), [("{a: [", "neither JSON nor YAML"), ("{a}", "leads nowhere")])
def test_text_that_cannot_be_read_is_refused(base, text, message):
    with pytest.raises(ValueError, match=message):
        read_space(text, base.parsed.policy)
    with pytest.raises(FileNotFoundError):
        read_space("no-such-space.yaml", base.parsed.policy)


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        ({"sources.0.sigma_min": [0.5, 1.5]}, r"me/sim.*sigma_min"),
        ({"sources.0.sigma_min": [0.5, 1.0]}, "its window admits nothing"),
        ({"mixing.alpha": [0.0, 0.5]}, "alpha = 0.0 must lie strictly between 0 and 1"),
        ({"mixing.type": ["ambient", "soft"]}, "soft ambient needs the clean share"),
        ({"n_action_steps": [4, 400]}, "n_action_steps = 400 exceeds"),
    ],
)
def test_a_space_with_forbidden_corners_is_refused_before_anything_runs(base, space_of, declared, message):
    with pytest.raises(ValueError, match=message) as caught:
        check_space(base, space_of(declared))
    assert "at this point of --space: {" in caught.value.__notes__[0]


# Configurations


def test_the_options_become_a_file_of_the_same_meaning(base):
    assert base.options["policy"]["mixing"] == {"type": "ambient", "alpha": 0.5}
    assert (base.steps, base.episodes, base.env_type) == (100, 10, "ambient_maze")
    assert decode(base.options).policy.optimizer_lr == 1e-3


def test_options_override_a_configuration_file(tmp_path):
    file = tmp_path / "base.yaml"
    file.write_text(yaml.safe_dump(load_base(None, OPTIONS).options))
    base = load_base(
        str(file), ["--policy.mixing.type=cotrain", "--steps=50", '--policy.sources=[{"repo_id": "me/a"}]']
    )
    assert base.options["policy"]["mixing"] == {"type": "cotrain", "alpha": 0.5}
    assert (base.steps, len(base.parsed.policy.sources)) == (50, 1)


def test_a_trial_trains_without_rollouts_and_pushes_nothing(base, space_of):
    space = space_of({"sources.1.sigma_min": [0.1, 0.2], "mixing.alpha": [0.2, 0.4]})
    config = train_config(base, space, {"sources.1.sigma_min": 0.15, "mixing.alpha": 0.3}, save_freq=25)
    parsed = decode(config)
    assert parsed.env is None
    assert (parsed.env_eval_freq, parsed.save_freq, parsed.policy.push_to_hub) == (0, 25, False)
    assert [source.sigma_min for source in parsed.policy.sources] == [0.3, 0.15]
    assert parsed.policy.mixing.alpha == 0.3
    assert eval_config(base, 7, 20) == {
        "env": {"type": "ambient_maze"},
        "eval": {"n_episodes": 20, "batch_size": 5},
        "seed": 7,
    }


def test_machines_may_keep_their_data_elsewhere(base):
    there = load_base(None, [word.replace("/data/", "/scratch/") for word in OPTIONS])
    assert there.options != base.options
    assert there.without_places() == base.without_places()
    other = load_base(None, [word.replace("0.3", "0.2") for word in OPTIONS])
    assert other.without_places() != base.without_places()


def test_a_sweep_needs_an_environment_and_our_policy():
    with pytest.raises(ValueError, match=r"needs an environment; name it, e\.g\. --env.type=ambient_maze"):
        load_base(None, [word for word in OPTIONS if not word.startswith("--env")])
    with pytest.raises(ValueError, match="policy type is none"):
        load_base(None, ["--dataset.repo_id=me/target", "--env.type=ambient_maze"])
    with pytest.raises(FileNotFoundError):
        load_base("no/such/file.yaml", OPTIONS)
