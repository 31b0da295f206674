# SPDX-License-Identifier: Apache-2.0
"""The recipe of every experiment, the committed configs that are written from it, and what LeRobot makes of them."""

from importlib import import_module

import draccus
import gymnasium as gym
import pytest
import yaml
from lerobot.configs.train import TrainPipelineConfig

from lerobot_ambient.benchmarks.engine.condition import Condition, Sweep
from lerobot_ambient.benchmarks.engine.estimated_windows import squared_cosine_schedule
from lerobot_ambient.benchmarks.engine.recipe import COMMENTS, Places, fine_tuning_flags, render_yaml, train_config
from lerobot_ambient.benchmarks.studies.catalogue import NAMES, study_named
from lerobot_ambient.benchmarks.studies.configs import EXAMPLES, SEED, data_folder, example_condition, example_configs
from lerobot_ambient.figures.families import COLOURS, MARKERS, colour, front_value, marker
from lerobot_ambient.figures.families import NAMES as FAMILIES
from lerobot_ambient.policy.diffusion.schedule import noise_schedule
from lerobot_ambient.policy.options.mixing import MixingConfig

STUDIES = {name: study_named(name) for name in NAMES}
CONDITIONS = [
    (name, condition) for name, study in STUDIES.items() for condition in study.conditions(study.defaults, study.full)
]
PLACES = Places("data/target", "data/source", "windows", "base", "data/frames")


def config_of(name: str, condition: Condition) -> dict:
    return train_config(STUDIES[name].task, condition, PLACES, seed=7, steps=80, batch_size=4)


# One parse each is enough for what several studies train alike.
PARSED = {str(config_of(name, condition)): (name, condition) for name, condition in CONDITIONS}.values()


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_committed_configs_are_the_recipe(checkout, name):
    folder = checkout / "configs" / name
    committed = {path.stem: path.read_text(encoding="utf-8") for path in folder.glob("*.yaml")}
    assert committed == example_configs(STUDIES[name]), (
        "write them anew: python -m lerobot_ambient.benchmarks.studies.configs --write configs"
    )


@pytest.mark.parametrize(("name", "file"), [(name, file) for name, files in EXAMPLES.items() for file in files])
def test_the_comments_change_nothing(name, file):
    study = STUDIES[name]
    sizes = {"seed": SEED, "steps": study.full.steps, "batch_size": study.full.batch_size}
    config = train_config(study.task, example_condition(study, file), Places.below(data_folder(study)), **sizes)
    assert yaml.safe_load(example_configs(study)[file]) == config


@pytest.mark.parametrize(("name", "condition"), PARSED, ids=[f"{name}-{condition.name}" for name, condition in PARSED])
def test_lerobot_parses_every_condition(name, condition, tmp_path):
    config = config_of(name, condition)
    if condition.base is not None:
        # LeRobot takes the rest from the base's own config, which is not there.
        assert "policy" not in config
        assert fine_tuning_flags(condition, PLACES)[:2] == ["--policy.path=base", "--policy.sources=[]"]
        assert config["steps"] == round(80 * condition.steps) < 80
        return
    assert fine_tuning_flags(condition, PLACES) == []
    written = render_yaml(STUDIES[name].task, config)
    # What LeRobot's own reading of a file ends with; its command line's help before costs half a second each time.
    parsed = draccus.decode(TrainPipelineConfig, yaml.safe_load(written))
    if condition.name == "ambient":
        (tmp_path / "train.yaml").write_text(written)
        assert draccus.parse(TrainPipelineConfig, tmp_path / "train.yaml", args=[]) == parsed
    steps = round(80 * condition.steps)
    assert (parsed.seed, parsed.steps, parsed.batch_size, parsed.save_freq) == (7, steps, 4, steps // 4)
    assert parsed.dataset.root == f"data/{condition.trained_on}"
    assert parsed.policy.type == "ambient_diffusion"
    assert MixingConfig.get_choice_name(type(parsed.policy.mixing)) == condition.mixing["type"]
    if condition.source is None:
        assert parsed.policy.sources == []
        return
    (source,) = parsed.policy.sources
    assert (source.sigma_min, source.sigma_max) == (
        condition.source.get("sigma_min"),
        condition.source.get("sigma_max"),
    )
    assert (source.windows is None) == (condition.windows is None)


@pytest.mark.parametrize("name", NAMES)
def test_an_experiment_names_what_the_package_has(name):
    study = STUDIES[name]
    repo_ids = import_module(f"lerobot_ambient.benchmarks.tasks.{study.task.name}.data").REPO_IDS
    assert repo_ids == {"target": study.task.target, "source": study.task.source}
    assert set(COLOURS) == set(MARKERS) == set(FAMILIES)
    for condition in study.conditions(study.defaults, study.full):
        assert condition.name.partition(":")[0] in COLOURS
        assert condition.data in study.data(study.full)
    named = [condition for condition in study.order if front_value(condition) is None]
    assert len({(colour(condition), marker(condition, study.order)) for condition in named}) == len(named)
    for column in study.published.values():
        assert set(column) <= set(study.order)


@pytest.mark.parametrize("name", NAMES)
def test_an_condition_is_the_same_whatever_a_sweep_that_it_does_not_need_decides(name):
    """Conditions that need no sweep are trained while the sweeps still run."""
    study = STUDIES[name]
    other = {sweep.name: sweep.values[-1] + 0.001 for sweep in study.sweeps}
    for one, two in zip(study.conditions(study.defaults, study.full), study.conditions(other, study.full), strict=True):
        changed = config_of(name, one) != config_of(name, two)
        assert changed == (bool(one.needs) and one.base is None), one.name


def test_the_reported_levels_are_those_of_the_policy():
    condition = next(condition for name, condition in CONDITIONS if name == "maze" and condition.name == "ambient")
    parsed = draccus.decode(TrainPipelineConfig, config_of("maze", condition))
    assert noise_schedule(parsed.policy).sigmas.tolist() == squared_cosine_schedule().sigmas.tolist()


def test_comments_stand_at_keys_that_exist():
    keys = set()
    for name, condition in CONDITIONS:
        config = config_of(name, condition)
        keys |= {*config, *(f"policy.{key}" for key in config.get("policy", ()))}
    assert set(COMMENTS) <= keys


def test_what_cannot_be_is_refused():
    with pytest.raises(ValueError, match="condition 'a' has windows by 'spectral' and source None"):
        Condition("a", "", {}, None, windows="spectral")
    with pytest.raises(ValueError, match=r"steps = 0\.0, which must be positive"):
        Condition("a", "", {}, steps=0.0)
    with pytest.raises(ValueError, match=r"'s' tries \(0.3, 0.3\): give at least one value, each once"):
        Sweep("s", "sigma_min", (0.3, 0.3), lambda value: Condition("a", "", {}))
    with pytest.raises(ValueError, match=r"'s' tries \(1.0,\): sigma_min lies in \[0, 1\)"):
        Sweep("s", "sigma_min", (1.0,), lambda value: Condition("a", "", {}))


@pytest.mark.parametrize("name", NAMES)
def test_the_environment_takes_the_options_of_an_evaluation(name):
    """Each word is read by lerobot-eval; an environment that cannot draw so small would refuse it there."""
    from lerobot.envs.configs import EnvConfig

    task = STUDIES[name].task
    words = [*task.env_flags(STUDIES[name].conditions(STUDIES[name].defaults, STUDIES[name].full)[0])]
    options = [f"--{word.removeprefix('--env.')}" for word in words if not word.startswith("--env.type=")]
    kind = EnvConfig.get_choice_class(f"ambient_{task.name}")
    config = draccus.parse(kind, args=[*options, f"--image_size={task.picture}"])
    env = gym.make(config.gym_id, disable_env_checker=True, **config.gym_kwargs)
    env.reset(seed=0)
    assert env.render().shape == (task.picture, task.picture, 3)
    env.close()
