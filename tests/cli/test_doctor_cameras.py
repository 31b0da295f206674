# SPDX-License-Identifier: Apache-2.0
"""`lerobot-ambient doctor` looks at every picture and at every video's times, and says what to write."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from lerobot.datasets.lerobot_dataset import LeRobotDataset

from lerobot_ambient.cli.__main__ import main
from lerobot_ambient.integration.doctor import installation as doctor

CAM = "observation.images.cam"


@pytest.fixture(autouse=True)
def small_installation(monkeypatch):
    """Only the checks of the data."""
    for name in ("check_environment", "check_plugin", "check_seam", "check_decoders"):
        monkeypatch.setattr(doctor, name, list)


def report(capsys, repo_id, root, *options):
    """Runs `doctor --json`; exit code and the checks by name."""
    policy = ["--policy.type=ambient_diffusion", "--policy.device=cpu"]
    code = main(["doctor", "--json", *policy, f"--dataset.repo_id={repo_id}", f"--dataset.root={root}", *options])
    return code, {check["name"]: check for check in json.loads(capsys.readouterr().out)["checks"]}


def cut_picture(root, row):
    (path,) = (root / "data").rglob("*.parquet")
    table = pq.read_table(path)
    cells = table[CAM].to_pylist()
    cells[row] |= {"bytes": cells[row]["bytes"][:60]}
    at = table.column_names.index(CAM)
    pq.write_table(table.set_column(at, CAM, pa.array(cells, table[CAM].type)), path)


def test_lost_pictures_are_listed_with_the_episodes_to_write(capsys, write_dataset, tmp_path):
    root = write_dataset(tmp_path / "seeing", "me/seeing", [10, 11, 12], image=(12, 16))
    code, checks = report(capsys, "me/seeing", root)
    assert (code, checks["target pictures"]["status"]) == (0, "ok")
    cut_picture(root, 10 + 4)
    code, checks = report(capsys, "me/seeing", root)
    assert code == 1
    found = checks["target pictures"]["found"].splitlines()
    assert found[0] == "1 of 3 episodes cannot be read"
    assert found[1].startswith(f"episode 1: the picture of frame 4 of {CAM} cannot be decoded (")
    assert "`--dataset.episodes='[0, 2]'`" in checks["target pictures"]["fix"]
    code, checks = report(capsys, "me/seeing", root, "--dataset.episodes=[0, 2]")
    assert code == 0

    target = write_dataset(tmp_path / "target", "me/target", [10], seed=1, image=(12, 16))
    source = {"repo_id": "me/seeing", "root": str(root), "sigma_min": 0.3}
    code, checks = report(capsys, "me/target", target, f"--policy.sources={json.dumps([source])}")
    assert (code, checks["target pictures"]["status"]) == (1, "ok")
    assert checks["source 1 pictures"]["fix"].endswith("`episodes: [0, 2]`, or with `skip_broken: true`")
    skipping = json.dumps([source | {"skip_broken": True}])
    assert report(capsys, "me/target", target, f"--policy.sources={skipping}")[0] == 0


def test_a_wrong_shape_is_corrected_where_it_is_written(capsys, write_dataset, tmp_path):
    root = write_dataset(tmp_path / "seeing", "me/seeing", [10] * 25, image=(12, 16))
    info = json.loads((root / "meta/info.json").read_text())
    info["features"][CAM]["shape"] = [24, 32, 3]
    (root / "meta/info.json").write_text(json.dumps(info))
    code, checks = report(capsys, "me/seeing", root)
    assert code == 1
    found = checks["target pictures"]["found"].splitlines()
    assert (found[0], found[-1]) == ("25 of 25 episodes cannot be read", "and 5 more")
    assert checks["target pictures"]["fix"] == "correct the feature's `shape` in meta/info.json where all are like this"


def test_timestamps_off_the_videos_are_measured(capsys, tmp_path):
    root = tmp_path / "filmed"
    vector = {"dtype": "float32", "shape": (2,), "names": ["a", "b"]}
    camera = {"dtype": "video", "shape": (48, 64, 3), "names": ["height", "width", "channels"]}
    features = {"action": vector, "observation.state": vector, CAM: camera}
    dataset = LeRobotDataset.create("me/filmed", 10, features, root=root, use_videos=True)
    rng = np.random.default_rng(0)
    for _ in range(2):
        for i in range(10):
            numbers = {key: rng.normal(size=2).astype(np.float32) for key in ("action", "observation.state")}
            dataset.add_frame(numbers | {CAM: np.full((48, 64, 3), 20 * i, np.uint8), "task": "go"})
        dataset.save_episode()
    dataset.finalize()
    assert report(capsys, "me/filmed", root)[0] == 0

    (path,) = (root / "meta/episodes").rglob("*.parquet")
    table = pq.read_table(path)
    name = f"videos/{CAM}/from_timestamp"
    begins = table[name].to_numpy() + np.array([0.0, 0.004])
    pq.write_table(table.set_column(table.column_names.index(name), name, pa.array(begins)), path)
    code, checks = report(capsys, "me/filmed", root)
    assert code == 1
    assert checks["target timestamps"]["found"].splitlines() == [
        "1 of 2 episodes have timestamps up to 0.004 s off their video's, and tolerance_s is 0.0001",
        f"episode 1: up to 0.004 s ({CAM})",
    ]
    assert checks["target timestamps"]["fix"].startswith("`--tolerance_s=0.0041` takes the nearest frames, or leave")
    assert report(capsys, "me/filmed", root, "--tolerance_s=0.0041")[0] == 0
