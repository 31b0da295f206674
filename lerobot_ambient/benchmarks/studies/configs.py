# SPDX-License-Identifier: Apache-2.0
"""The experiments' recipes written out as `configs/<task>/*.yaml`, and a test keeps them equal.

python -m lerobot_ambient.benchmarks.studies.configs --write configs
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from lerobot_ambient.benchmarks.engine.condition import Condition
from lerobot_ambient.benchmarks.engine.recipe import Places, render_yaml, train_config
from lerobot_ambient.benchmarks.engine.study import Study
from lerobot_ambient.benchmarks.studies.catalogue import study_named

SEED = 0
EXAMPLES: dict[str, dict[str, str]] = {
    "maze": {
        "target_only": "target_only",
        "cotrain": "cotrain",
        "ambient": "ambient",
        "exclusive": "exclusive",
        "soft": "soft",
        "unet": "ambient",
    },
    "sorting": {
        "target_only": "target_only",
        "cotrain": "cotrain",
        "omni": "omni",
    },
    "pushing": {
        "target_only": "target_only",
        "cotrain": "cotrain",
        "ambient": "ambient",
        "soft": "soft",
    },
}
"""By experiment: file names and the conditions they show. `unet` shows its condition with LeRobot's U-Net, small."""


def example_condition(study: Study, file: str) -> Condition:
    """The condition that a file shows, with the defaults of what is swept."""
    name = EXAMPLES[study.name][file]
    condition = next(condition for condition in study.conditions(study.defaults, study.full) if condition.name == name)
    if file != "unet":
        return condition
    summary = f"{condition.summary} With LeRobot's U-Net, small, instead of the residual MLP."
    return replace(condition, summary=summary, policy={"denoiser": "unet", "down_dims": [32, 64, 128]})


def data_folder(study: Study) -> str:
    """Where the committed configs look for the data, relative to the folder the command is run in."""
    return f"outputs/data/{study.name}"


def example_configs(study: Study) -> dict[str, str]:
    """The committed files of an experiment: name without suffix to text."""
    texts = {}
    for file in EXAMPLES[study.name]:
        condition = example_condition(study, file)
        words = " ".join(word for word in study.data(study.full)[condition.data] if "episodes" not in word)
        header = (
            f"{condition.summary}\n\n"
            f"    lerobot-ambient make-data {study.task.name} --root {data_folder(study)} {words}".rstrip()
            + f"\n    lerobot-train --config_path=configs/{study.name}/{file}.yaml\n\n"
            "Written by `python -m lerobot_ambient.benchmarks.studies.configs --write configs`."
        )
        sizes = study.full
        config = train_config(
            study.task,
            condition,
            Places.below(data_folder(study)),
            seed=SEED,
            steps=sizes.steps,
            batch_size=sizes.batch_size,
        )
        texts[file] = render_yaml(study.task, config, header)
    return texts


def main() -> None:
    """Write the committed configs."""
    parser = argparse.ArgumentParser(description="The experiments' training configs.")
    parser.add_argument("--write", type=Path, required=True, metavar="FOLDER", help="e.g. configs")
    root = parser.parse_args().write
    for name in EXAMPLES:
        folder = root / name
        folder.mkdir(parents=True, exist_ok=True)
        for file, text in example_configs(study_named(name)).items():
            (folder / f"{file}.yaml").write_text(text, encoding="utf-8")
            print(folder / f"{file}.yaml")


if __name__ == "__main__":
    main()
