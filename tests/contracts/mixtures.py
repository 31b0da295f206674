# SPDX-License-Identifier: Apache-2.0
"""Mixtures of every kind that a configuration can declare, as functions of where the datasets lie."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from .recordings import ACTION, CAMERA, RECORDINGS, STATE, values
from .surfaces import configuration

Roots = Callable[[str], Path]


def _source(roots: Roots, name: str, **options: Any) -> dict[str, Any]:
    return {"repo_id": f"me/{name}", "root": str(roots(name)), **options}


def _of_sim(roots: Roots, policy: dict[str, Any] | None = None, **options: Any) -> Any:
    """The target and one source of its kind; sigma_min 0.4 where nothing else is said of its window."""
    declared = options.keys() & {"sigma_min", "sigma_max", "windows"}
    window = {} if declared else {"sigma_min": 0.4}
    return configuration(roots("target"), [_source(roots, "sim", **window, **options)], policy)


def write_windows(path: Path) -> Path:
    """A windows file of `me/sim`, made without this package: its columns and metadata are a contract of their own."""
    rows = [(e, f) for e, length in enumerate(RECORDINGS["sim"].lengths) for f in range(length)]
    metadata = {
        "schema_version": 1,
        "method": "manual",
        "tau": None,
        "sigmas": [],
        "normalization": {"mode": "MIN_MAX", "relative": False, **_affine_of_target(), "horizon": 8},
        "package_version": "0.1.0",
    }
    float32 = pa.float32()
    table = pa.table(
        {
            "repo_id": pa.array(["me/sim"] * len(rows)),
            "revision": pa.nulls(len(rows), pa.string()),
            "episode_index": pa.array([e for e, _ in rows], pa.int64()),
            "frame_index": pa.array([f for _, f in rows], pa.int64()),
            # Eighths, a level per stretch of frames; the second episode also teaches below its sigma_max.
            "sigma_min": pa.array([(3 + f // 5 % 4) / 8 for _, f in rows], float32),
            "sigma_max": pa.array([e * (1 + f // 10 % 2) / 8 for e, f in rows], float32),
            "p": pa.nulls(len(rows), pa.list_(float32)),
        }
    )
    pq.write_table(table.replace_schema_metadata({"lerobot_ambient": json.dumps(metadata)}), path)
    return path


def _affine_of_target() -> dict[str, list[float]]:
    """The middle and half the range of the target's actions, exact."""
    target = RECORDINGS["target"]
    actions = np.stack([values(target.salt, e, f + 1, 2) for e, n in enumerate(target.lengths) for f in range(n)])
    low, high = actions.min(0).astype(np.float64), actions.max(0).astype(np.float64)
    return {"offset": ((low + high) / 2).tolist(), "scale": ((high - low) / 2).tolist()}


MIXTURES: dict[str, Callable[[Roots, Path], Any]] = {
    "target_alone": lambda roots, _: configuration(roots("target")),
    "plain": lambda roots, _: _of_sim(roots),
    "omni": lambda roots, _: _of_sim(roots, sigma_min=0.5, sigma_max=0.125),
    "everything": lambda roots, _: _of_sim(roots, sigma_min=0.0),
    "no_window": lambda roots, _: configuration(
        roots("target"), [_source(roots, "sim")], {"mixing": {"type": "cotrain"}}
    ),
    "weighted": lambda roots, _: _of_sim(roots, weight=2.5),
    "episodes": lambda roots, _: configuration(
        roots("target"), [_source(roots, "sim", sigma_min=0.4, episodes=[1])], dataset={"episodes": [0, 2]}
    ),
    "twice": lambda roots, _: configuration(
        roots("target"),
        [
            _source(roots, "sim", sigma_min=0.7, sigma_max=0.25, episodes=[0], weight=3.0),
            _source(roots, "sim", sigma_min=0.123456789, episodes=[1]),
        ],
    ),
    "renamed": lambda roots, _: configuration(
        roots("target"), [_source(roots, "renamed", sigma_min=0.4, rename={"actions": ACTION, "state": STATE})]
    ),
    "aligned": lambda roots, _: configuration(
        roots("target"),
        [
            _source(
                roots,
                "other",
                sigma_min=0.4,
                dimensions={
                    STATE: {"pan.pos": {"take": "pan", "scale": 4.0}, "lift.pos": {"fill": 0.25}},
                    ACTION: {
                        "pan.pos": {"take": "pan", "scale": -4.0, "offset": 0.5, "interpolation": "nearest"},
                        "lift.pos": {"mask": True},
                    },
                },
            )
        ],
    ),
    "named": lambda roots, _: configuration(
        roots("target"),
        [
            _source(
                roots, "other", sigma_min=0.4, dimension_names={key: ["lift.pos", "pan.pos"] for key in (STATE, ACTION)}
            )
        ],
    ),
    "own_statistics": lambda roots, _: _of_sim(roots, normalization="own"),
    "slow": lambda roots, _: configuration(roots("target"), [_source(roots, "slow", sigma_min=0.4)]),
    "declared_fps": lambda roots, _: _of_sim(roots, fps=20.0),
    "steps": lambda roots, _: configuration(
        roots("target"), [_source(roots, "steps", sigma_min=0.4, action_type="delta")]
    ),
    "gain": lambda roots, _: configuration(
        roots("target"), [_source(roots, "steps", sigma_min=0.4, action_type="delta", action_gain=1.0)]
    ),
    "gain_by_name": lambda roots, _: configuration(
        roots("target"),
        [_source(roots, "steps", sigma_min=0.4, action_type="delta", action_gain={"pan.pos": 1.0, "lift.pos": 1.0})],
    ),
    "cameras": lambda roots, _: configuration(
        roots("seeing"),
        [
            _source(roots, "smaller", sigma_min=0.4, cameras={CAMERA: {"fit": "crop"}}),
            _source(roots, "blind", sigma_min=0.6, cameras={CAMERA: {"fill": 0.5}}),
        ],
        {"use_group_norm": True},
    ),
    "windows_file": lambda roots, folder: _of_sim(roots, windows=str(write_windows(folder / "windows.parquet"))),
    "target_only": lambda roots, _: _of_sim(roots, {"mixing": {"type": "target_only"}}),
    "cotrain_alpha": lambda roots, _: _of_sim(roots, {"mixing": {"type": "cotrain", "alpha": 0.25}}),
    "alpha": lambda roots, _: _of_sim(roots, {"mixing": {"type": "ambient", "alpha": 0.9}}),
    "soft": lambda roots, _: _of_sim(
        roots, {"mixing": {"type": "soft", "sigmas": [0.0, 0.5, 1.0], "clean_shares": [1.0, 0.75, 0.125]}}
    ),
    "exclusive": lambda roots, _: _of_sim(roots, {"mixing": {"type": "exclusive"}}, sigma_min=0.5, sigma_max=0.125),
    "ambient_loss": lambda roots, _: _of_sim(
        roots, {"ambient_loss": True, "ambient_loss_max_amplification": 2.5, "prediction_type": "sample"}
    ),
    "relative": lambda roots, _: _of_sim(
        roots, {"relative_actions": True, "normalization_mapping": _mapping("MEAN_STD")}
    ),
    "schedule": lambda roots, _: _of_sim(
        roots, {"num_train_timesteps": 50, "beta_schedule": "linear", "beta_end": 0.03, "drop_n_last_frames": 0}
    ),
}
"""By name, (root_of, a folder to write into) to the configuration of a training."""


def _mapping(actions: str) -> dict[str, str]:
    return {"VISUAL": "MEAN_STD", "STATE": "MIN_MAX", "ENV": "MIN_MAX", "ACTION": actions}
