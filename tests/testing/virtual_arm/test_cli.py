# SPDX-License-Identifier: Apache-2.0
"""The verb `virtual-arm`: what it refuses, and a run from start to `quit`."""

import os
import threading
import time

import pytest

from lerobot_ambient.cli.__main__ import main


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--id", "me"], "give both or neither"),
        (["--uncalibrated", "--id", "me", "--calibration-dir", "c"], "--uncalibrated starts without"),
        (["--jitter", "1"], "add --motion or --script"),
        (["--jitter", "-1", "--motion", "wave"], "a number from 0 up"),
        (["--latency", "-1"], "seconds in [0, 10)"),
        (["--fault", "smoke"], "is not one of"),
        (["--script", "nowhere.csv"], "nowhere.csv"),
    ],
)
def test_options_that_do_not_fit_are_refused(options, message, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["virtual-arm", "--port", "port", *options]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "port").exists()


def test_it_says_where_it_is_obeys_and_leaves_nothing_behind(tmp_path, capsys):
    pipe = tmp_path / "arm" / "port.control"

    def tell() -> None:
        while not pipe.exists():
            time.sleep(0.01)
        writer = os.open(pipe, os.O_WRONLY)
        os.write(writer, b"state\ndance\nquit\n")
        os.close(writer)

    teller = threading.Thread(target=tell, daemon=True)
    teller.start()
    calibration = tmp_path / "calibration"
    options = ["--port", str(tmp_path / "arm/port"), "--id", "me", "--calibration-dir", str(calibration)]
    assert main(["virtual-arm", *options, "--motion", "pick", "--jitter", "0.5"]) == 0
    teller.join(5)
    ready, state, error = capsys.readouterr().out.splitlines()
    assert ready.startswith("ready: ") and '"shoulder_pan"' in state and "'dance' is not understood" in error
    assert [path.name for path in (tmp_path / "arm").iterdir()] == []
    assert (calibration / "me.json").is_file()
