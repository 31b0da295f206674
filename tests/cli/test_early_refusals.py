# SPDX-License-Identifier: Apache-2.0
"""What the words of a command line alone decide is refused at once, by the option as it was typed."""

from __future__ import annotations

from pathlib import Path

import pytest

from lerobot_ambient.cli.__main__ import main
from lerobot_ambient.integration.training import configured_mixture as training

CONFIGURED = (
    "--policy.type=ambient_diffusion",
    "--policy.device=cpu",
    "--dataset.repo_id=me/target",
    "--dataset.root=nowhere",
    "--policy.sources=[{repo_id: me/sim, root: nowhere, sigma_min: 0.3}]",
)
SPACE = '--space={"sources.0.sigma_min": [0.05, 0.6]}'


@pytest.fixture
def refusal(tmp_path, monkeypatch, capsys):
    """Returns refusal(*words): the last line that a command leaves on stderr, which ends with code 2."""

    def run(*words: str) -> str:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr("sys.argv", ["lerobot-ambient", *words])
        try:
            code = main(words)
        except SystemExit as left:
            code = left.code
        err = capsys.readouterr().err
        assert (code, "Traceback" in err) == (2, False), err
        return err.splitlines()[-1]

    return run


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("inspect", "mine.yaml"), "inspect: error: 'mine.yaml' stands alone; did you mean --config_path=mine.yaml?"),
        (("annotate", "--method=spectral", "--policy.device", "cpu", "x.yaml"), "did you mean --config_path=x.yaml?"),
        (("inspect", "--config_path=a.yaml", "b.yaml"), "'b.yaml' stands alone; it belongs to no option."),
        (("inspect", "--png=x.txt"), "--png=x.txt is no picture's name; write e.g. --png=x.png."),
        (("inspect", "--png=."), "--png=. is a folder; name a file in it, e.g. --png=plan.png."),
        (
            ("inspect", "--suggest", "--write=x.txt"),
            "x.txt: a configuration is a YAML file; name it for example x.yaml.",
        ),
        (("annotate", "--method=spectral", "--write-config=x.txt"), "x.txt: a configuration is a YAML file"),
        (("merge", "--output=x", "--repo-id="), "--repo-id is empty; name the new dataset, e.g. --repo-id=me/merged."),
        (("sweep", SPACE, "--trials=0"), "--trials must be at least 1, got 0."),
        (("sweep", SPACE, "--confirm=9"), "the 9 that --confirm evaluates again"),
    ],
)
def test_it_is_refused_before_the_configuration_is_read(refusal, monkeypatch, words, expected):
    monkeypatch.setattr("lerobot_ambient.sweep.config.load_base", lambda *_: pytest.fail("read"))
    monkeypatch.setattr(training, "load_train_config", lambda *_: pytest.fail("read"))
    assert expected in refusal(*words)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("reproduce", "maze", "--stag=x"), "unrecognized arguments: --stag=x"),
        (("bench", "loader", "--root=x"), "unrecognized arguments: --root=x"),
        (("reproduce", "maze", "--jbs=2"), "unrecognized arguments: --jbs=2; did you mean --jobs?"),
    ],
)
def test_no_other_verb_s_options_are_proposed(refusal, words, expected):
    told = refusal(*words)
    assert expected in told
    assert "--storage" not in told and "mean --root" not in told


def test_the_verb_s_own_options_are_proposed_beside_lerobot_s(refusal):
    assert refusal("inspect", *CONFIGURED, "--sugest", "--stps=3").endswith(
        "there is no option --sugest, --stps; did you mean --suggest or --steps?"
    )


def test_a_value_is_refused_by_the_option_that_was_typed(refusal):
    told = refusal("annotate", *CONFIGURED, "--method=classifier", "--folds=0")
    assert told.endswith("--folds=0 must be at least 1.")
    assert refusal("inspect", *CONFIGURED, "--policy.horizon=many").endswith(
        "error: --policy.horizon: Couldn't parse 'many' into an int"
    )
    told = refusal("sweep", *CONFIGURED, "--env.type=ambient_maze", "--space=space.json")
    assert f"--space=space.json: no such file in {Path.cwd()}. Or write [low, high]" in told


def test_what_is_no_checkpoint_and_no_port_is_told_so(refusal):
    assert refusal("bench", "latency", "--path=nowhere").endswith(
        "--path=nowhere: no such file or folder here, nor a model in the cache of the Hub."
    )
    assert refusal("loopback-hub", "--port=99999").endswith(
        "--port=99999 is no port: from 1 to 65535, or 0 for a free one."
    )
