# SPDX-License-Identifier: Apache-2.0
"""configs/openx: read as lerobot-train reads them, and merged with small datasets in the place of the public ones."""

from dataclasses import replace

import draccus
import numpy as np
import pytest
import yaml

from lerobot_ambient.data.catalogue.library import VARIABLE, entry, unpinned
from lerobot_ambient.data.declared.end_effector import EndEffectorConfig
from lerobot_ambient.data.declared.sources import Source
from lerobot_ambient.data.kinematics.poses import GRIPPER
from lerobot_ambient.data.kinematics.poses import POSE as EE_POSE
from lerobot_ambient.integration.training.configured_mixture import load_train_config, mixture_of
from lerobot_ambient.integration.training.merged_training import make_merged_datasets
from lerobot_ambient.testing.virtual_arm.geometry import TIP, urdf
from lerobot_ambient.testing.virtual_arm.joints import JOINTS

ALOHA = [
    f"{side}_{joint}"
    for side in ("left", "right")
    for joint in ("waist", "shoulder", "elbow", "forearm_roll", "wrist_angle", "wrist_rotate", "gripper")
]
SO101 = [f"{joint.name}.pos" for joint in JOINTS]
POSE = ["x", "y", "z", "roll", "pitch", "yaw", "gripper"]
FACTS = ("repo_id", "license", "robot", "fps", "cameras", "action", "observation.state")


def target_of(kinds, names, fps, roles):
    """The recording that a configuration expects, as an entry."""
    grippers = {key: {"open": 1, "closed": 0} for key in names if "gripper" in key}
    ends = tuple({"kind": kind, "names": names, "gripper": grippers} for kind in kinds)
    for one in ends:
        if one["kind"].startswith("ee_"):
            one |= {"frame": "base", "rotation": "rpy"}
    cameras = {f"observation.images.{key}": {"role": role, "shape": [480, 640]} for key, role in roles.items()}
    numbers = dict(zip(("action", "observation.state"), ends, strict=True))
    rest = {"robot": "mine", "fps": fps, "evidence": {}, "unverified": dict.fromkeys(FACTS, "made up")}
    return {"repo_id": "me/own", "cameras": cameras, "features": numbers, **rest}


TARGETS = {
    "arm": target_of(("ee_delta", "ee_absolute"), POSE, 10, {"front": "third_person", "wrist": "wrist"}),
    "so101": target_of(("joint", "joint"), SO101, 30, {"front": "third_person", "wrist": "wrist"}),
    "bimanual": target_of(
        ("joint", "joint"),
        ALOHA,
        50,
        {"high": "third_person", "left_wrist": "left_wrist", "right_wrist": "right_wrist"},
    ),
}


def stand_in(cfg, target, generated_entry):
    """Small datasets in the place of a configuration's target and sources."""
    cfg.dataset.root = str(generated_entry(target))
    cfg.policy.frame_cache = None
    for place, source in enumerate(cfg.policy.sources):
        known = entry(unpinned(source.catalogue)[0])
        used = [key for key in known.cameras if source.rename.get(key, "").startswith("observation.images.")]
        root = generated_entry(known.name, cameras=used)
        cfg.policy.sources[place] = replace(source, root=str(root))


@pytest.mark.parametrize(("name", "sources"), [("arm", 10), ("bimanual", 6)])
def test_it_is_read_and_merged(name, sources, checkout, generated_entry, tmp_path, monkeypatch):
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / f"{name}.yaml").write_text(yaml.safe_dump(TARGETS[name]))
    monkeypatch.setenv(VARIABLE, str(tmp_path / "own"))
    cfg = load_train_config(str(checkout / f"configs/openx/{name}.yaml"), [])
    assert len(cfg.policy.sources) == sources
    stand_in(cfg, name, generated_entry)
    mixture = mixture_of(cfg)
    assert [source.name for source in mixture.sources[1:]] == [source.repo_id for source in cfg.policy.sources]
    # Every gripper is open and closed at the target's numbers.
    grippers = [place for place, key in enumerate(POSE if name == "arm" else ALOHA) if "gripper" in key]
    for source in mixture.sources:
        assert set(np.unique(np.asarray(source.columns["action"])[:, grippers])) <= {0.0, 1.0}, source.name


def test_an_so101_learns_poses_and_its_checkpoint_keeps_what_entries_said(
    checkout, generated_entry, tmp_path, monkeypatch
):
    (tmp_path / "so101.yaml").write_text(yaml.safe_dump(TARGETS["so101"]))
    (tmp_path / "arm.urdf").write_text(urdf())
    monkeypatch.setenv(VARIABLE, str(tmp_path / "so101.yaml"))
    cfg = load_train_config(str(checkout / "configs/openx/so101.yaml"), [])
    stand_in(cfg, "so101", generated_entry)
    cfg.policy.target_end_effector = EndEffectorConfig(urdf=str(tmp_path / "arm.urdf"), tip=TIP, unit="radians")
    mixture = make_merged_datasets(cfg)[0].mixture
    assert mixture.meta.features["action"]["names"] == [*EE_POSE, GRIPPER]
    for source in mixture.sources[1:]:
        assert set(np.unique(source.columns["action"][:, -1])) <= {0.0, 100.0}, source.name
    kinds = [source.end_effector.action.kind for source in cfg.policy.sources]
    assert kinds == ["difference", "delta_base", "difference", "delta_base", "delta_base"]
    # Another entry of the name changes nothing of what was trained with.
    written = draccus.encode(cfg.policy.sources)
    monkeypatch.setattr("lerobot_ambient.data.kinematics.shared_space.entry", None)
    cfg.policy.sources = [draccus.decode(Source, one) for one in written]
    assert mixture_of(cfg).fingerprint == mixture.fingerprint
