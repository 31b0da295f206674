# SPDX-License-Identifier: Apache-2.0
"""One configuration file throughout: `init` and `inspect --suggest --write` write it, everything else reads it."""

import json
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from lerobot_ambient.cli.__main__ import main
from lerobot_ambient.integration.training.config_file import comparable
from lerobot_ambient.integration.training.configured_mixture import load_train_config

JOINTS = ["shoulder_pan", "elbow_flex", "wrist_roll"]


@pytest.fixture(scope="module")
def data(tmp_path_factory, write_dataset) -> Path:
    """A folder with a target, a source like it, and one with other keys, names, units and frame rate."""
    folder = tmp_path_factory.mktemp("own")
    common = {"dims": 3, "env_state": False}
    write_dataset(folder / "target", "me/arm", [32, 34], seed=1, names=JOINTS, spread=20, **common)
    write_dataset(folder / "twin", "me/twin", [32, 36], seed=2, names=JOINTS, spread=2, **common)
    keys = {"action": "actions", "observation.state": "qpos"}
    names = [f"right_{name}_joint" for name in JOINTS[::-1]]
    write_dataset(folder / "sim", "me/sim", [60, 50], seed=3, names=names, spread=0.1, fps=20, keys=keys, **common)
    return folder


@pytest.fixture
def here(data, monkeypatch, tmp_path) -> Path:
    """The working folder, with `data` in it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").symlink_to(data)
    return tmp_path


INIT = ["init", "--target", "me/arm=data/target", "--source", "me/sim=data/sim", "--source", "me/twin=data/twin"]


def test_init_writes_a_configuration_that_says_what_was_typed(here, capsys):
    assert main([*INIT, "--policy.horizon=8", "--policy.n_action_steps=4", "--batch_size=16"]) == 0
    said = capsys.readouterr().out
    assert "me/sim (unknown robot, 20 fps) for the target me/arm (unknown robot, 10 fps): 8 lines of alignment" in said
    assert "me/twin (unknown robot, 10 fps) for the target me/arm (unknown robot, 10 fps): fits as it is" in said
    assert "lerobot-ambient annotate --config_path=mine.yaml --method=classifier --write-config=mine.yaml" in said
    assert "lerobot-train --config_path=mine.yaml --output_dir=outputs/train/mine" in said
    text = (here / "mine.yaml").read_text()
    assert "shoulder_pan: {take: right_shoulder_pan_joint, scale: 57.29578}  #" in text
    values = yaml.safe_load(text)
    # What was typed, what the source needs, and no default.
    assert values["dataset"] == {"repo_id": "me/arm", "root": "data/target"}
    assert values["batch_size"] == 16
    assert set(values) == {"dataset", "policy", "batch_size"}
    assert set(values["policy"]) == {"type", "push_to_hub", "horizon", "n_action_steps", "sources"}
    assert values["policy"]["sources"][1] == {"repo_id": "me/twin", "root": "data/twin"}
    cfg = load_train_config("mine.yaml", [])
    assert (cfg.policy.horizon, cfg.policy.push_to_hub, len(cfg.policy.sources)) == (8, False, 2)
    # It opens as it is, once the mixing asks for no windows.
    assert main(["inspect", "--config_path=mine.yaml", "--policy.mixing.type=cotrain", "--json"]) == 0
    assert [s["name"] for s in json.loads(capsys.readouterr().out)["sources"]] == ["me/arm", "me/sim", "me/twin"]


def test_a_small_policy_is_smaller_and_what_is_typed_wins(here):
    assert main([*INIT, "--small", "--batch_size=32", "--policy.repo_id=me/policy"]) == 0
    cfg = load_train_config("mine.yaml", [])
    assert (cfg.policy.denoiser, cfg.num_workers, cfg.batch_size) == ("mlp", 0, 32)
    assert (cfg.policy.push_to_hub, cfg.policy.repo_id) == (True, "me/policy")


def test_on_a_terminal_init_asks(here, monkeypatch, capsys):
    answers = iter(["", "me/arm", "data/target", "me/sim", "data/sim", "me/twin=data/twin", "", "asked.yaml"])
    monkeypatch.setattr("builtins.input", lambda question: next(answers))
    monkeypatch.setattr("sys.stdin", SimpleNamespace(isatty=lambda: True))
    assert main(["init"]) == 0
    assert next(answers, None) is None
    assert main([*INIT, "--write=typed.yaml"]) == 0
    assert (here / "asked.yaml").read_text() == (here / "typed.yaml").read_text()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["init"], "init needs a target and at least one source, --target is missing. For example:"),
        (["init", "--target=me/arm"], "--source is missing. For"),
        (["init", "--targt=me/arm", "--source=me/x"], "--target is missing (--targt is no option)"),
        ([*INIT, "--source=me/x="], "'me/x=' names no dataset"),
        ([*INIT, "--write=mine.json"], "a configuration is a YAML file; name it for example mine.yaml"),
        ([*INIT, "--write=data"], "a configuration is a YAML file"),
        ([*INIT, "--policy.sources=[]"], "--policy.sources is what init finds out"),
        (["init", "--target=me/no=data/none", "--source=me/twin=data/twin"], "me/no"),
        (["inspect", "--write=mine.yaml"], "--write writes what --suggest proposes; add --suggest"),
        (["inspect", "--suggest", "--overwrite"], "--overwrite without --write does nothing"),
    ],
)
def test_what_cannot_be_written_is_refused(here, monkeypatch, capsys, words, message):
    monkeypatch.setattr("sys.stdin", SimpleNamespace(isatty=lambda: False))
    assert main(words) == 2
    assert message in capsys.readouterr().err
    assert [path.name for path in here.iterdir()] == ["data"]


def test_a_file_that_is_there_is_kept(here, capsys):
    (here / "mine.yaml").write_text("a person's own\n")
    assert main(INIT) == 2
    assert "mine.yaml exists; add --overwrite to replace it, or name another file." in capsys.readouterr().err
    assert (here / "mine.yaml").read_text() == "a person's own\n"
    assert main([*INIT, "--overwrite"]) == 0
    assert (here / "mine.yaml").read_text().startswith("# Written by `lerobot-ambient init`")


def test_what_no_proposal_settles_stands_in_the_file(here, write_dataset, capsys, tmp_path):
    write_dataset(tmp_path / "other", "me/other", [20], keys={"action": "force"}, names=["x", "y"], env_state=False)
    assert main(["init", "--target=me/arm=data/target", "--source=me/other=other"]) == 1
    said = capsys.readouterr().out
    assert "written: mine.yaml, which does not open yet:\n  me/other: " in said
    assert "lerobot-ambient inspect --suggest --config_path=mine.yaml" in said
    assert "# PROBLEM: " in (tmp_path / "mine.yaml").read_text()
    assert load_train_config("mine.yaml", []).policy.sources[0].repo_id == "me/other"


def test_inspect_writes_all_that_the_configuration_and_the_options_say(here, capsys):
    (here / "first.yaml").write_text(
        "dataset: {repo_id: me/arm, root: data/target, image_transforms: {enable: true, max_num_transforms: 2}}\n"
        "policy:\n  type: ambient_diffusion\n  repo_id: me/policy\n  horizon: 8\n  n_action_steps: 4\n"
        "  normalization_mapping: {STATE: MEAN_STD, ACTION: MEAN_STD, VISUAL: MEAN_STD}\n"
        "  mixing: {type: soft, sigmas: [0.0, 1.0], clean_shares: [1.0, 0.1]}\n"
        "  sources:\n    - {repo_id: me/sim, root: data/sim, sigma_min: 0.0, weight: 2.0}\n"
        "env: {type: ambient_maze}\nwandb: {mode: offline}\n"
    )
    more = ["--policy.optimizer_lr=1e-05", "--steps=7", "--policy.optimizer_betas=[0.9, 0.99]"]
    words = ["inspect", "--suggest", "--config_path=first.yaml", "--write=deep/mine.yaml", *more]
    assert main(words) == 0
    said = capsys.readouterr().out
    # Its window was declared, so training is next.
    assert "annotate" not in said
    assert "  lerobot-train --config_path=deep/mine.yaml --output_dir=outputs/train/mine\n" in said
    wanted = comparable(load_train_config("first.yaml", more))
    written = comparable(load_train_config("deep/mine.yaml", []))
    source = written["policy"]["sources"][0]
    assert (source["sigma_min"], source["weight"]) == (0.0, 2.0)
    assert source["rename"] == {"actions": "action", "qpos": "observation.state"}
    wanted["policy"]["sources"] = written["policy"]["sources"] = []
    assert written == wanted
    assert sorted(path.name for path in (here / "deep").iterdir()) == ["mine.yaml"]
    assert main([*words, "--json"]) == 2
    capsys.readouterr()
    assert main([*words, "--json", "--overwrite"]) == 0
    assert json.loads(capsys.readouterr().out)["written"] == "deep/mine.yaml"


def test_comments_outlive_a_file_that_is_written_anew(here, capsys):
    assert main([*INIT, "--write=init.yaml"]) == 0
    first = (here / "init.yaml").read_text()
    assert first.count("check the sign") == 3
    by_hand = first.replace("me/twin\n", "me/twin  # Tuesday's\n") + "# ask Ann\nsteps: 100000  # on purpose\n"
    (here / "mine.yaml").write_text(by_hand)
    words = ["inspect", "--suggest", "--config_path=mine.yaml", "--write=mine.yaml", "--overwrite"]
    capsys.readouterr()
    assert main(words) == 0
    assert "stands in it as it was, comments and all, and still has to be right" in capsys.readouterr().out
    text = (here / "mine.yaml").read_text()
    gone = [line for line in by_hand.splitlines() if line not in text.splitlines()]
    # Who wrote it, and an option that says the default, whose comment stays.
    assert gone == [by_hand.splitlines()[0], "steps: 100000  # on purpose"]
    assert "\n# ask Ann\n# steps: 100000  # on purpose\n" in text
    assert main(words) == 0
    assert (here / "mine.yaml").read_text() == text
    # Another layout, and a line that is found anew beside one that was declared.
    line = "wrist_roll: {take: right_wrist_roll_joint, scale: 57.29578}"
    declared = re.sub(rf" +{line}  # as action\n", "", text).replace("root: data/sim\n", "root: 'data/sim'  # old\n")
    (here / "mine.yaml").write_text(declared)
    assert main(words) == 0
    again = (here / "mine.yaml").read_text()
    assert f"{line}  # as action" in again and "root: data/sim  # old\n" in again
    changed = set(again.replace("  # old", "").splitlines()) ^ set(text.splitlines())
    assert changed == set()


SMALL = ["--policy.denoiser=mlp", "--policy.mlp_width=16", "--policy.mlp_depth=1", "--policy.horizon=8"]
SMALL += [
    "--policy.n_action_steps=4",
    "--policy.drop_n_last_frames=0",
    "--num_workers=0",
    "--batch_size=8",
    "--steps=1",
]


@pytest.fixture(scope="module")
def written(data) -> str:
    """The text that `init` writes for both sources, and a person's comment."""
    from _pytest.monkeypatch import MonkeyPatch

    with MonkeyPatch.context() as patch:
        patch.chdir(data)
        words = [word.replace("data/", "") for word in INIT]
        assert main([*words, "--write=init.yaml", *SMALL]) == 0
    text = (data / "init.yaml").read_text().replace("root: ", "root: data/")
    return text.replace("me/twin\n", "me/twin  # Tuesday's\n")


def test_annotate_merges_its_windows_and_stock_training_starts(here, written, capsys, monkeypatch):
    (here / "mine.yaml").write_text(written)
    before = comparable(load_train_config("mine.yaml", []))
    # With so few episodes the safe end of what is known is high for both.
    spectral = ["annotate", "--method=spectral", "--take=estimate", "--config_path=mine.yaml"]
    spectral.append("--write-config=mine.yaml")
    assert main(spectral) == 0
    said = capsys.readouterr().out
    # One source differs; of the other the chunks show nothing, which is no reason to trust it everywhere.
    assert "written: mine.yaml\n  me/sim: left as it was: chunks alone show no difference" in said
    assert "\n  me/twin: sigma_min: 0." in said
    assert "before a training, remove me/sim from the file, or write a window of your own" in said
    train = "lerobot-train --config_path=mine.yaml --output_dir=outputs/train/mine"
    assert f"\n  lerobot-ambient inspect --config_path=mine.yaml\n  {train}\n" in said
    after = comparable(load_train_config("mine.yaml", []))
    sim, twin = after["policy"]["sources"]
    assert (sim["sigma_min"], 0.0 < twin["sigma_min"] < 1.0) == (None, True)
    twin["sigma_min"] = twin["sigma_max"] = None
    assert after == before
    # Every line of before is still there, but for the proposal that the window takes the place of.
    lines = (here / "mine.yaml").read_text().splitlines()
    gone = [line for line in written.splitlines() if line not in lines]
    assert gone == []
    assert (sum("# sigma_min: 0.3" in line for line in lines), written.count("# sigma_min: 0.3")) == (1, 2)
    assert "# annotate --method=spectral, the estimate; chunks alone" in (here / "mine.yaml").read_text()
    # The command that was printed, as stock LeRobot runs it, once the person has written the other window.
    by_hand = (here / "mine.yaml").read_text().replace("# sigma_min: 0.3 ", "sigma_min: 0.3  #")
    (here / "mine.yaml").write_text(by_hand)
    from lerobot.scripts import lerobot_train

    monkeypatch.setattr("sys.argv", train.split())
    lerobot_train.main()
    assert (here / "outputs/train/mine/checkpoints/last/pretrained_model/config.json").is_file()

    kept = (here / "mine.yaml").read_text()
    assert main(spectral) == 2
    assert "mine.yaml has a window for 'me/sim', 'me/twin'; add --overwrite to replace it" in capsys.readouterr().err
    assert kept == by_hand == (here / "mine.yaml").read_text()
    assert main([*spectral, "--overwrite", "--json"]) == 0
    assert (here / "mine.yaml").read_text() == kept


def test_windows_go_into_a_copy_or_into_what_was_typed(here, written, capsys):
    (here / "mine.yaml").write_text(written)
    words = ["annotate", "--method=spectral", "--config_path=mine.yaml"]
    assert main([*words, "--write-config=copy.yaml", "--log_freq=3"]) == 0
    said = capsys.readouterr().out
    assert "not in the file, so type it again: --log_freq=3" in said
    # What two or three episodes show leaves a source next to nothing, and that is said before the next command.
    assert "with --take=estimate" in said
    assert said.index("before a training, read the warnings of me/") < said.index("next:\n")
    assert "lerobot-train --config_path=copy.yaml --log_freq=3 --output_dir=" in said
    assert "# Tuesday's" in (here / "copy.yaml").read_text()
    assert (here / "mine.yaml").read_text() == written
    assert main([*words, "--write-config=copy.yaml"]) == 2
    assert "copy.yaml exists; add --overwrite" in capsys.readouterr().err
    # Without a file, and where the sources were typed, all of it is written.
    twin = '--policy.sources=[{"repo_id": "me/twin", "root": "data/twin"}]'
    assert main([*words, "--write-config=typed.yaml", "--log_freq=3", twin]) == 0
    cfg = load_train_config("typed.yaml", [])
    assert (cfg.log_freq, [source.repo_id for source in cfg.policy.sources]) == (3, ["me/twin"])
    assert cfg.policy.sources[0].sigma_min is not None
    assert "type it again" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--method=classifier", "--granularity=bucket", "--bucket=episode"], "add --write or --windows-dir to"),
        (["--rethreshold"], "--write-config belongs to --method"),
    ],
)
def test_windows_that_a_configuration_cannot_take(here, written, capsys, words, message):
    (here / "mine.yaml").write_text(written)
    assert main(["annotate", "--config_path=mine.yaml", "--write-config=mine.yaml", *words]) == 2
    assert message in capsys.readouterr().err
    assert (here / "mine.yaml").read_text() == written


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["init", "--target=me/no=data/none", "--source=me/twin=data"],
            "dataset 'me/no': there is no folder data/none",
        ),
        (["init", "--target=me/a=data", "--source=me/b=data", "--write=data"], "a configuration is a YAML file"),
        (["inspect", "--suggest", "--write=mine.json"], "a configuration is a YAML file"),
        (["annotate", "--method=spectral", "--write-config=mine.json"], "a configuration is a YAML file"),
    ],
)
def test_what_needs_no_lerobot_is_refused_before_it_is_loaded(tmp_path, words, message):
    (tmp_path / "data").mkdir()
    program = (
        "import sys; from lerobot_ambient.cli.__main__ import main; code = main(sys.argv[1:]); "
        "assert not {'torch', 'lerobot'} & set(sys.modules), 'loaded'; sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *words], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.returncode, message in done.stderr) == (2, True), done.stderr
