# SPDX-License-Identifier: Apache-2.0
"""The experiments that train policies, by name."""

from __future__ import annotations

from importlib import import_module

from lerobot_ambient.benchmarks.engine.study import Study

METAWORLD = ("metaworld-push", "metaworld-pick", "metaworld-door", "metaworld-peg")
"""One a task, all declared in one module."""
NAMES = ("maze", "sorting", "pushing", "scaling", "pusht", "arm7", "vision", "flow", *METAWORLD)


def study_named(name: str) -> Study:
    """The experiment called `name`, one of `NAMES`."""
    assert name in NAMES
    if name in METAWORLD:
        study = import_module("lerobot_ambient.benchmarks.studies.metaworld").STUDIES[name]
    else:
        study = import_module(f"lerobot_ambient.benchmarks.studies.{name}").STUDY
    assert isinstance(study, Study)
    return study
