# SPDX-License-Identifier: Apache-2.0
"""Meta-World's studies: which pairs they compare, with equal budgets, and what they promise."""

import pytest

from lerobot_ambient.benchmarks.engine.study import Sizes
from lerobot_ambient.benchmarks.studies import metaworld
from lerobot_ambient.benchmarks.studies.catalogue import METAWORLD, study_named
from lerobot_ambient.benchmarks.tasks.metaworld.faults import Fault
from lerobot_ambient.benchmarks.tasks.metaworld.task import task_named

PUSH = metaworld.GROUNDS[0]


@pytest.mark.parametrize("name", METAWORLD)
def test_every_pair_is_a_fault_that_its_task_can_have(name: str) -> None:
    ground = next(ground for ground in metaworld.GROUNDS if ground.name == name)
    study = study_named(name)
    assert study.task.env == {"task_name": ground.task} and len(ground.faults) == 2
    words = study.data(study.full)
    for fault in ground.faults:
        Fault(fault).require(task_named(ground.task))  # type: ignore[arg-type]
        assert words[fault][:2] == [f"--task={ground.task}", f"--fault={fault}"]
        sweeps = [sweep for sweep in study.sweeps if sweep.name.startswith(f"{fault}-")]
        assert len({len(sweep.values) for sweep in sweeps}) == 1 and len(sweeps) == 2
        for sweep in sweeps:
            tried = sweep.condition(sweep.values[0])
            assert tried.data == fault and tried.needs == (sweep.name,)


def test_a_fault_of_the_decision_is_taught_below_a_sigma_max() -> None:
    made = {condition.name: condition for condition in metaworld.conditions(PUSH, PUSH.sources.choices(), Sizes())}
    assert made["omni:wrong_goal"].source == {"sigma_min": 1.0, "sigma_max": 0.5}
    assert made["ambient:tremble"].source == {"sigma_min": 0.3}
    for way in ("heldout", "classifier-dataset"):
        unswept = made[f"ambient:wrong_goal-{way}"]
        assert unswept.windows_once and unswept.needs == () and unswept.mixing == made["omni:wrong_goal"].mixing


def test_where_some_episodes_are_at_fault_windows_and_selections_are_of_a_part() -> None:
    ground = next(ground for ground in metaworld.GROUNDS if "broken" in ground.faults)
    made = {one.name: one for one in metaworld.conditions(ground, ground.sources.choices(), Sizes())}
    assert made["ambient:broken-classifier-episode"].windows == "classifier-episode"
    assert made["ambient:broken-classifier-episode"].share == 0.5
    for way in ("filtered", "weighted"):
        kept = made[f"cotrain:{way}:broken"]
        assert (kept.windows, kept.data) == (f"classifier-{way}", "broken")
        assert (
            kept.needs == made["cotrain:broken"].needs
            and kept.mixing["alpha"] == made["cotrain:broken"].mixing["alpha"]
        )
    assert not [name for name in made if "tremble" in name and ("filtered" in name or "episode" in name)]


def test_other_ways_are_those_of_the_same_source() -> None:
    made = {one.name: one for one in metaworld.conditions(PUSH, PUSH.sources.choices(), Sizes())}
    ambient, tuned = made["ambient:tremble"], made["cotrain:pretrained-tuned:tremble"]
    assert made["ambient:tremble:by-size"].mixing == {"type": "ambient", "alpha": None}
    assert made["ambient:tremble:ambient-loss"].policy == {"ambient_loss": True}
    for way in ("by-size", "ambient-loss"):
        assert made[f"ambient:tremble:{way}"].source == ambient.source
    assert made[tuned.base].steps + tuned.steps == 1.0
    assert {made[name].data for name in made if name.endswith(":tremble") or "tremble" in name} == {"tremble"}
    assert "soft:wrong_goal" not in made
