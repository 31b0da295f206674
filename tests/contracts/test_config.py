# SPDX-License-Identifier: Apache-2.0
"""`config.json` of a checkpoint: what is written into it today, and that what was written once is still read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from lerobot.configs import PreTrainedConfig

from .recordings import ACTION, CAMERA, STATE
from .surfaces import configuration, registered_policies

SOURCES: list[dict[str, Any]] = [
    {"repo_id": "me/sim", "sigma_min": 0.3},
    {
        "repo_id": "me/other",
        "root": "data/other",
        "revision": "v1.0",
        "episodes": [0, 2],
        "weight": 2.0,
        "windows": "meta/ambient_windows.parquet",
        "rename": {"actions": ACTION, "images.cam": CAMERA},
        "dimension_names": {ACTION: ["pan", "lift"], STATE: ["pan", "lift"]},
        "dimensions": {
            ACTION: {"pan.pos": {"take": "pan", "scale": 57.29578, "offset": -1.5}, "lift.pos": {"mask": True}},
            STATE: {"lift.pos": {"fill": 0.5}, "pan.pos": {"take": "pan", "interpolation": "nearest"}},
        },
        "cameras": {CAMERA: {"fit": "crop"}, "observation.images.wrist": {"fill": 0.0}},
        "normalization": "own",
        "fps": 30.0,
        "action_type": "delta",
        "action_gain": {"pan.pos": 0.05, "lift.pos": 0.1},
        "skip_broken": True,
        "holdout": 0.2,
    },
    {"repo_id": "me/omni", "sigma_min": 1.0, "sigma_max": 0.2, "action_gain": 0.25, "fps": 5},
]
POLICY: dict[str, Any] = {
    "target_rename": {"actions": ACTION},
    "target_dimension_names": {ACTION: ["pan.pos", "lift.pos"]},
    "target_action_type": "delta",
    "target_action_gain": 0.5,
    "frame_cache": "outputs/frames",
    "ambient_loss": True,
    "ambient_loss_max_amplification": 3.0,
    "ambient_loss_fresh_noise": True,
    "relative_actions": True,
    "ema_decay": 0.999,
}
MIXINGS: dict[str, dict[str, Any]] = {
    "target_only": {"type": "target_only"},
    "cotrain": {"type": "cotrain", "alpha": 0.25},
    "ambient": {"type": "ambient"},
    "ambient with alpha": {"type": "ambient", "alpha": 0.5},
    "alpha alone": {"alpha": 0.5},
    "soft": {"type": "soft", "sigmas": [0.0, 1.0], "clean_shares": [1.0, 0.1]},
    "exclusive": {"type": "exclusive"},
}

OLD = Path(__file__).with_name("old")


def written(config: Any, folder: Path) -> dict[str, Any]:
    config.save_pretrained(folder)
    found: dict[str, Any] = json.loads((folder / "config.json").read_text())
    return found


def test_a_configuration_keeps_its_form_in_a_checkpoint(contract, tmp_path):
    config = configuration(Path("target"), SOURCES, POLICY).policy
    contract("config.json", written(config, tmp_path))
    assert PreTrainedConfig.from_pretrained(tmp_path) == config


def test_mixings_keep_their_form_in_a_checkpoint(contract, tmp_path):
    forms = {}
    for name, mixing in MIXINGS.items():
        config = configuration(Path("target"), SOURCES, {"mixing": mixing}).policy
        forms[name] = written(config, tmp_path / name)["mixing"]
        again = configuration(Path("target"), SOURCES, {"mixing": forms[name]}).policy
        assert again.mixing == config.mixing
    contract("mixings.json", forms)


@pytest.mark.parametrize("path", sorted(OLD.glob("config-*.json")), ids=lambda path: path.stem)
def test_configurations_of_older_versions_are_read(path, tmp_path):
    kind = "ambient_diffusion"
    old = json.loads(path.read_text())
    (tmp_path / "config.json").write_text(path.read_text())
    now = written(PreTrainedConfig.from_pretrained(tmp_path), tmp_path / "again")
    defaults = written(registered_policies()[kind](device="cpu"), tmp_path / "defaults")
    # Every value that it has is kept, and what it does not know yet is as where nobody chose it.
    assert now == _filled(old, defaults | {"sources": [_source(tmp_path)], "mixture_record": [_record(tmp_path)]})


def _source(folder: Path) -> dict[str, Any]:
    """A source with nothing but its name."""
    found: dict[str, Any] = written(configuration(Path("target"), [{"repo_id": "x"}]).policy, folder)["sources"][0]
    return found


def _record(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = written(configuration(Path("target"), (), {"mixture_record": [{}]}).policy, folder)[
        "mixture_record"
    ][0]
    return found


def _filled(old: dict[str, Any], defaults: dict[str, Any]) -> dict[str, Any]:
    lists = ("sources", "mixture_record")
    filled = {name: [defaults[name][0] | entry for entry in old.get(name, [])] for name in lists}
    return defaults | old | filled
