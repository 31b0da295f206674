# SPDX-License-Identifier: Apache-2.0
"""configs/openx: read as lerobot-train reads them, and merged with small datasets in the place of the public ones."""

from dataclasses import replace

import numpy as np
import pytest
import yaml

from lerobot_ambient.data.catalogue.library import VARIABLE, entry, unpinned
from lerobot_ambient.integration.training.merged_training import load_train_config, mixture_of

ALOHA = [
    f"{side}_{joint}"
    for side in ("left", "right")
    for joint in ("waist", "shoulder", "elbow", "forearm_roll", "wrist_angle", "wrist_rotate", "gripper")
]
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
    "bimanual": target_of(
        ("joint", "joint"),
        ALOHA,
        50,
        {"high": "third_person", "left_wrist": "left_wrist", "right_wrist": "right_wrist"},
    ),
}


@pytest.mark.parametrize(("name", "sources"), [("arm", 10), ("bimanual", 6)])
def test_it_is_read_and_merged(name, sources, checkout, generated_entry, tmp_path, monkeypatch):
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / f"{name}.yaml").write_text(yaml.safe_dump(TARGETS[name]))
    monkeypatch.setenv(VARIABLE, str(tmp_path / "own"))
    cfg = load_train_config(str(checkout / f"configs/openx/{name}.yaml"), [])
    assert len(cfg.policy.sources) == sources
    cfg.dataset.root = str(generated_entry(name))
    cfg.policy.frame_cache = None
    for place, source in enumerate(cfg.policy.sources):
        known = entry(unpinned(source.catalogue)[0])
        used = [key for key in known.cameras if source.rename.get(key, "").startswith("observation.images.")]
        root = generated_entry(known.name, cameras=used)
        cfg.policy.sources[place] = replace(source, root=str(root))
    mixture = mixture_of(cfg)
    assert [source.name for source in mixture.sources[1:]] == [source.repo_id for source in cfg.policy.sources]
    # Every gripper is open and closed at the target's numbers.
    grippers = [place for place, key in enumerate(POSE if name == "arm" else ALOHA) if "gripper" in key]
    for source in mixture.sources:
        assert set(np.unique(np.asarray(source.columns["action"])[:, grippers])) <= {0.0, 1.0}, source.name
