# SPDX-License-Identifier: Apache-2.0
"""Meta-World's studies: which pairs they compare, with equal budgets, and what they promise."""

import numpy as np
import pytest

from lerobot_ambient.benchmarks.engine.crossed import Trainings
from lerobot_ambient.benchmarks.studies import metaworld
from lerobot_ambient.benchmarks.studies.catalogue import METAWORLD, study_named
from lerobot_ambient.benchmarks.tasks.metaworld.faults import Fault
from lerobot_ambient.benchmarks.tasks.metaworld.task import task_named
from lerobot_ambient.integration.commands.results import Rollouts

PUSH = metaworld.GROUNDS[0]


def successes(percent: int) -> Trainings:
    """Five trainings that agree on two thousand layouts, so that a point of difference is shown."""
    return Trainings({seed: Rollouts(np.arange(2000) % 100 < percent, np.zeros(2000)) for seed in range(1, 6)})


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
    omni, ambient = metaworld.windowed("wrong_goal", 0.4), metaworld.windowed("tremble", 0.4)
    assert (omni.name, omni.source) == ("omni:wrong_goal", {"sigma_min": 1.0, "sigma_max": 0.4})
    assert (ambient.name, ambient.source) == ("ambient:tremble", {"sigma_min": 0.4})


def test_the_unswept_window_is_judged_against_the_better_of_two() -> None:
    names = {fault: f"ambient:{fault}-{metaworld.ESTIMATE}" for fault in PUSH.faults}
    conditions = {
        "target_only": successes(50),
        "cotrain:tremble": successes(60),
        names["tremble"]: successes(70),
        "cotrain:wrong_goal": successes(40),
        names["wrong_goal"]: successes(50),
    }
    below, above = metaworld.claims(PUSH, conditions)
    assert (below.verdict, above.verdict) == ("shown", "shown")
    assert above.measured.endswith("1 of 2 faults: tremble")
    worse = {**conditions, names["tremble"]: successes(55), names["wrong_goal"]: successes(45)}
    below, above = metaworld.claims(PUSH, worse)
    assert (below.verdict, above.verdict) == ("refuted", "refuted")
    assert below.measured.endswith("2 of 2 faults: tremble, wrong_goal")
    # A tie shows nothing.
    even = {**conditions, names["tremble"]: successes(60)}
    assert [claim.verdict for claim in metaworld.claims(PUSH, even)] == ["shown", "not shown"]
    assert metaworld.claims(PUSH, {"target_only": successes(50)}) == []
