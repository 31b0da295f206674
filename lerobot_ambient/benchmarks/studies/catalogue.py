# SPDX-License-Identifier: Apache-2.0
"""The experiments that train policies, by name."""

from __future__ import annotations

from importlib import import_module

from lerobot_ambient.benchmarks.engine.study import Study

METAWORLD = ("metaworld-push", "metaworld-pick", "metaworld-shelf", "metaworld-peg")
"""One a task, all declared in one module."""
PAYS = ("pays-maze", "pays-push")
"""When a source pays: one a task, declared in one module."""
NAMES = ("maze", "sorting", "pushing", "scaling", "pusht", "arm7", "vision", "flow", *METAWORLD, *PAYS)
_TOGETHER = {"metaworld": METAWORLD, "pays": PAYS}


def study_named(name: str) -> Study:
    """The experiment called `name`, one of `NAMES`."""
    assert name in NAMES
    module = next((module for module, names in _TOGETHER.items() if name in names), None)
    if module is not None:
        study = import_module(f"lerobot_ambient.benchmarks.studies.{module}").STUDIES[name]
    else:
        study = import_module(f"lerobot_ambient.benchmarks.studies.{name}").STUDY
    assert isinstance(study, Study)
    return study
