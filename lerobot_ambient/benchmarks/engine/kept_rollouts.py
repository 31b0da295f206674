# SPDX-License-Identifier: Apache-2.0
"""Finished rollouts in a small file beside the page, so that a page can grow over several calls and machines.

All that a page needs of a trained policy is how its rollouts went, a few numbers each; the policy itself and its data
take gigabytes. `NAME-rollouts.json` keeps them under the key of their evaluation, the hash of everything that they
depend on (see `stages`): versions, data, recipe, seeds, and the same of a base that was fine-tuned. A later call that
would make an evaluation with the same key can take it from there. On a machine of the same kind making it again gives
the same to the last digit; elsewhere other rounding leads to other rollouts of the same law.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lerobot_ambient.data.files.replace_file import replace_file
from lerobot_ambient.integration.commands.results import Rollouts

FORMAT = 1


@dataclass(frozen=True, eq=False)
class Kept:
    """The evaluation of one trained policy.

    Args:
        name: of the run in its output folder, e.g. "final/ambient-seed1".
        key: of the evaluation.
        rollouts: how they went.
        train_seconds, eval_seconds: wall time.
        machines: on which it was trained and evaluated.
        windows: of the source, as in results JSON.
        reused: taken from a file.
    """

    name: str
    key: str
    rollouts: Rollouts
    train_seconds: float
    eval_seconds: float
    machines: tuple[str, ...]
    windows: Sequence[Mapping[str, Any]] = ()
    reused: bool = False


def kept_file(folder: Path, experiment: str) -> Path:
    """Where an experiment keeps its rollouts in a folder of results."""
    return folder / f"{experiment}-rollouts.json"


def read_kept(path: Path, experiment: str) -> list[Kept]:
    """Kept evaluations. Two arms that are one policy have one key.

    Raises:
        ValueError: the file is not there, is not one of these files, or belongs to another experiment.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        found, layout, entries = values["experiment"], values["format"], values["rollouts"]
        kept = [_from_json(entry) for entry in entries]
    except FileNotFoundError as error:
        raise ValueError(
            f"{path}: there is no such file. A finished `reproduce {experiment}` writes "
            f"{experiment}-rollouts.json to its results folder."
        ) from error
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: not a file of rollouts that `reproduce` wrote ({error!r}).") from error
    if (found, layout) != (experiment, FORMAT):
        raise ValueError(
            f"{path}: holds rollouts of '{found}' in format {layout}; `reproduce {experiment}` reads those of "
            f"'{experiment}' in format {FORMAT}."
        )
    return kept


def write_kept(path: Path, experiment: str, kept: Sequence[Kept]) -> None:
    """Write evaluations, a line each. What the file holds of other runs stays; of the same runs it is replaced."""
    # A file that cannot be read is not overwritten: the error says what it is.
    before = read_kept(path, experiment) if path.exists() else []
    names = {one.name for one in kept}
    entries = sorted([*kept, *(one for one in before if one.name not in names)], key=lambda one: one.name)
    lines = ",\n".join(json.dumps(_to_json(one), separators=(",", ":")) for one in entries)
    text = f'{{"experiment": "{experiment}", "format": {FORMAT}, "rollouts": [\n{lines}\n]}}\n'
    replace_file(path, text.encode())


def _to_json(one: Kept) -> dict[str, Any]:
    jerks = one.rollouts.jerks
    return {
        "name": one.name,
        "key": one.key,
        "train_seconds": one.train_seconds,
        "eval_seconds": one.eval_seconds,
        "machines": list(one.machines),
        "windows": [dict(window) for window in one.windows],
        "successes": one.rollouts.successes.astype(int).tolist(),
        "returns": one.rollouts.returns.tolist(),
        **({} if jerks is None else {"jerks": jerks.tolist()}),
    }


def _from_json(entry: Mapping[str, Any]) -> Kept:
    jerks = entry.get("jerks")
    return Kept(
        name=entry["name"],
        key=entry["key"],
        rollouts=Rollouts(
            np.array(entry["successes"], dtype=bool),
            np.array(entry["returns"], dtype=np.float64),
            None if jerks is None else np.array(jerks, dtype=np.float64),
        ),
        train_seconds=float(entry["train_seconds"]),
        eval_seconds=float(entry["eval_seconds"]),
        machines=tuple(entry["machines"]),
        windows=entry["windows"],
        reused=True,
    )
