# SPDX-License-Identifier: Apache-2.0
"""`virtual-arm --make-video` and `--draw`: files that can be read back, and refusals that name what is there."""

import numpy as np
from PIL import Image

from lerobot_ambient.benchmarks.walkthroughs.arm_drawing import NAMES, read_arm_episode
from lerobot_ambient.cli.__main__ import main

SERVED = [f"{name}.pos" for name in NAMES]


def test_the_test_video_is_what_a_camera_plays(tmp_path, capsys):
    from lerobot.cameras import CameraConfig, make_cameras_from_configs

    import lerobot_ambient.testing.video_camera.config_camera  # noqa: F401

    video = tmp_path / "new" / "table.avi"
    assert main(["virtual-arm", "--make-video", str(video)]) == 0
    written = capsys.readouterr().out.splitlines()
    assert written[0] == f"{video}: written"
    size = {"width": 128, "height": 96, "fps": 30}
    assert written[1].endswith(f"{{type: video_file, index_or_path: {video}, width: 128, height: 96, fps: 30}}}}'")
    config = CameraConfig.get_choice_class("video_file")(index_or_path=video, warmup_s=0, **size)
    camera = make_cameras_from_configs({"table": config})["table"]
    camera.connect()
    assert camera.read().shape == (96, 128, 3)
    camera.disconnect()
    before = video.read_bytes()
    assert main(["virtual-arm", "--make-video", str(video)]) == 0
    assert capsys.readouterr().out.splitlines()[0] == f"{video}: was there already"
    assert video.read_bytes() == before


def test_a_recording_becomes_a_gif_that_moves_and_a_png(tmp_path, write_dataset, capsys):
    # The joints in another order, and a dimension more.
    names = [*reversed(SERVED), "battery"]
    root = write_dataset(tmp_path / "pick", "me/pick", [6, 9], names=names, dims=7, env_state=False, spread=9.0)
    for kind in ("gif", "png"):
        file = tmp_path / "out" / f"arm.{kind}"
        assert main(["virtual-arm", "--draw", str(root), str(file), "--episode=1"]) == 0
        assert capsys.readouterr().out == f"{file}: episode 1 of {root}\n"
    with Image.open(tmp_path / "out" / "arm.gif") as moving:
        # 10 Hz: every frame is shown.
        assert (moving.n_frames, moving.info["duration"]) == (9, 100)
        first = np.asarray(moving.convert("RGB"))
        moving.seek(8)
        assert (first != np.asarray(moving.convert("RGB"))).any()


def test_joints_are_found_by_name_in_the_order_of_the_arm(tmp_path, write_dataset):
    written = ["main_" + name for name in reversed(NAMES)]
    root = write_dataset(tmp_path / "old", "me/old", [5], names=written, dims=6, env_state=False)
    episode = read_arm_episode(root)
    import pyarrow.parquet as pq

    (file,) = root.glob("data/**/*.parquet")
    table = pq.read_table(file)
    assert episode.goals is not None
    for found, column in ((episode.state, "observation.state"), (episode.goals, "action")):
        stored = np.stack(table[column].to_numpy())
        np.testing.assert_array_equal(found.astype(np.float32), stored[:, ::-1])
    assert episode.fps == 10


def test_what_cannot_be_drawn_is_named(tmp_path, write_dataset, capsys):
    arm = str(write_dataset(tmp_path / "arm", "me/arm", [5], names=SERVED, dims=6, env_state=False))
    other = str(write_dataset(tmp_path / "other", "me/other", [5], env_state=False))
    out = str(tmp_path / "x.gif")
    for options, message in (
        (["--draw", str(tmp_path), out], "is no LeRobot dataset: it has no meta/info.json"),
        (["--draw", other, out], "observation.state is joint_0, joint_1; only the six joints"),
        (["--draw", arm, out, "--episode=1"], "has no episode 1; its 1 episodes go from 0 to 0"),
        (["--draw", arm, str(tmp_path / "x.mp4")], "is neither a .gif nor a .png"),
        (["--make-video", str(tmp_path / "x.mp4")], "let its name end in .avi, .mkv or .mov"),
        ([], "nothing to do: --port NAME serves an arm"),
    ):
        assert main(["virtual-arm", *options]) == 2
        assert message in capsys.readouterr().err.splitlines()[-1]
    assert not list(tmp_path.glob("x.*"))
