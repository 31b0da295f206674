# SPDX-License-Identifier: Apache-2.0
"""The command line's frame: finding verbs, exit codes, messages."""

import argparse
import json
import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Callable
from types import ModuleType

import pytest

from lerobot_ambient.cli import __main__ as cli

Run = Callable[[argparse.Namespace], int | None]


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Returns call(run, *argv): runs `lerobot-ambient` with one verb `try-it` that does `run`."""

    def call(run: Run, *argv: str, takes_more: bool = False) -> int:
        def add_parser(subparsers: argparse._SubParsersAction) -> None:
            parser = subparsers.add_parser("try-it", help="a verb for this test")
            parser.add_argument("--number", type=int, default=0)
            parser.set_defaults(run=run, takes_more=takes_more)
            task = parser.add_subparsers(dest="task").add_parser("task")
            task.add_argument("--root")

        module = ModuleType("lerobot_ambient.cli.try_it")
        module.add_parser = add_parser
        monkeypatch.setitem(sys.modules, module.__name__, module)
        monkeypatch.setattr(cli, "VERBS", ("try_it",))
        monkeypatch.setattr(cli, "LABORATORY", ())
        return cli.main(argv or ("try-it",))

    return call


def raising(error: BaseException) -> Run:
    def run(args: argparse.Namespace) -> int:
        raise error

    return run


@pytest.mark.parametrize(("returned", "code"), [(None, 0), (0, 0), (1, 1), (3, 3)])
def test_the_verb_decides_the_exit_code(call, returned, code):
    assert call(lambda args: returned) == code


def test_the_verb_gets_its_arguments(call):
    assert call(lambda args: args.number, "try-it", "--number", "7") == 7


@pytest.mark.parametrize(
    "error",
    [
        ValueError("sigma_min is 1.5, outside [0, 1]: use at most 1"),
        FileNotFoundError("no such folder: here"),
        NotADirectoryError("a file: here"),
        PermissionError("may not write: here"),
    ],
)
def test_what_a_user_can_mend_is_one_line_and_exit_code_2(call, capsys, error):
    assert call(raising(error)) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err == f"lerobot-ambient: error: {error}\n"


def test_notes_follow_the_message(call, capsys):
    error = ValueError("fps is 10, the target's is 30")
    error.add_note("source: me/sim")
    assert call(raising(error)) == 2
    assert capsys.readouterr().err == ("lerobot-ambient: error: fps is 10, the target's is 30\n  source: me/sim\n")


@pytest.mark.parametrize("argv", [("--debug", "try-it"), ("try-it", "--debug"), ("try-it", "task", "--debug")])
def test_debug_prints_the_traceback_wherever_it_stands(call, capsys, argv):
    assert call(raising(ValueError("bad")), *argv) == 2
    err = capsys.readouterr().err
    assert "Traceback (most recent call last)" in err
    assert "raise error" in err
    assert err.endswith("lerobot-ambient: error: bad\n")


def test_interrupt_is_130(call, capsys):
    assert call(raising(KeyboardInterrupt())) == 130
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize("error", [KeyError("x"), RuntimeError("x"), AssertionError("x")])
def test_our_own_bugs_are_not_hidden(call, error):
    with pytest.raises(type(error)):
        call(raising(error))


def test_a_missing_optional_package_names_the_extra(call, capsys):
    assert call(raising(ModuleNotFoundError("No module named 'pydrake'", name="pydrake.planning"))) == 2
    assert "pip install 'lerobot_policy_ambient_diffusion[maze]'" in capsys.readouterr().err


def test_a_missing_package_of_no_extra_is_a_bug(call):
    with pytest.raises(ModuleNotFoundError):
        call(raising(ModuleNotFoundError("No module named 'lerobot_ambient.x'", name="lerobot_ambient.x")))


@pytest.mark.parametrize("argv", [("no-such-verb",), ("--json",), ("try-it", "--number", "seven")])
def test_wrong_usage_is_2(call, capsys, argv):
    with pytest.raises(SystemExit) as exit_:
        call(lambda args: 0, *argv)
    assert exit_.value.code == 2
    assert "usage: lerobot-ambient" in capsys.readouterr().err


def test_unknown_arguments_reach_only_a_verb_that_takes_more(call, capsys):
    line = ("try-it", "--number", "7", "--policy.type=ambient_diffusion")
    with pytest.raises(SystemExit) as exit_:
        call(lambda args: 0, *line)
    assert exit_.value.code == 2
    assert "unrecognized arguments: --policy.type=ambient_diffusion" in capsys.readouterr().err

    seen = []
    call(lambda args: seen.extend([args.number, *args.more]), *line, takes_more=True)
    assert seen == [7, "--policy.type=ambient_diffusion"]


def test_version(call, capsys):
    with pytest.raises(SystemExit) as exit_:
        call(lambda args: 0, "--version")
    assert exit_.value.code == 0
    assert capsys.readouterr().out.startswith("lerobot-ambient 0.")


@pytest.mark.parametrize("verb", [*cli.VERBS, *cli.LABORATORY])
def test_every_verb_is_typed_with_hyphens_and_has_help_with_an_example(verb, capsys):
    with pytest.raises(SystemExit) as exit_:
        cli.main([verb.replace("_", "-"), "--help"])
    assert exit_.value.code == 0
    out = capsys.readouterr().out
    assert f"usage: lerobot-ambient {verb.replace('_', '-')}" in out
    assert "--debug" in out
    text = out.partition("example:\n")[2]
    command = shlex.split(text.replace("\\\n", " "))
    assert command[:2] == ["lerobot-ambient", verb.replace("_", "-")]
    args, more = cli.build_parser().parse_known_args(command[1:])
    assert not more or args.takes_more


def test_the_verbs_stand_in_the_order_of_work_and_the_laboratory_apart(capsys):
    with pytest.raises(SystemExit):
        cli.main(["--help"])
    out = capsys.readouterr().out
    verbs, _, laboratory = out.partition("\nlaboratory:\n")
    for text, names in ((verbs, cli.VERBS), (laboratory, cli.LABORATORY)):
        listed = [line.split()[0] for line in text.splitlines() if re.match(r"    [a-z]", line)]
        assert listed == [name.replace("_", "-") for name in names]
    assert max(map(len, out.splitlines())) <= 82


@pytest.mark.parametrize(
    ("argv", "near"),
    [
        (("inspct",), "did you mean inspect?"),
        (("make-data", "mase"), "did you mean maze?"),
        (("card", "x", "--repo_id=me/x"), "unrecognized arguments: --repo_id=me/x; did you mean --repo-id?"),
        (("annotate", "--metod=classifier", "--steps=3"), "--rethreshold is required; did you mean --method?"),
        (("annotate", "--policy.horizon=8"), "one of the arguments --method --rethreshold is required\n"),
        (("sweep", "--trails=3"), "are required: --space; did you mean --trials?"),
        (("card", "--repo_id=me/x"), "are required: checkpoint; did you mean --repo-id?"),
        # Past what a verb knows LeRobot parses, and its options are proposed beside the verb's.
        (("inspect", "--sugest"), "there is no option --sugest; did you mean --suggest?"),
        (("inspect", "--sugest", "--dataset.repoid=x"), "did you mean --suggest or --dataset.repo_id?"),
        (("doctor", "--jsn"), "there is no option --jsn; did you mean --json?"),
        (("annotate", "--method=spectral", "--writ-config=x"), "did you mean --write-config?"),
    ],
)
def test_what_is_misspelt_is_answered_with_the_nearest(capsys, monkeypatch, argv, near):
    monkeypatch.setattr("sys.argv", ["lerobot-ambient", *argv])
    with pytest.raises(SystemExit) as exit_:
        cli.main(argv)
    assert exit_.value.code == 2
    assert near in capsys.readouterr().err.splitlines()[-1] + "\n"


def test_loading_lerobot_is_said_before_it_takes_its_seconds(tmp_path):
    code = (
        "import sys, types, lerobot_ambient.cli.__main__ as cli\n"
        "verb = types.ModuleType('lerobot_ambient.cli.talk')\n"
        "def run(args):\n"
        "    import torch, lerobot\n"
        "    print('ran')\n"
        "verb.add_parser = lambda sub: sub.add_parser('talk').set_defaults(run=run)\n"
        "sys.modules[verb.__name__] = verb; cli.VERBS = ('talk',); cli.LABORATORY = ()\n"
        "sys.exit(cli.main(['talk']))"
    )
    # Stand-ins, because the real ones take seconds.
    for name in ("torch", "lerobot"):
        (tmp_path / f"{name}.py").write_text("print('loaded')")
    path = os.pathsep.join([str(tmp_path), *sys.path])
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ, "PYTHONPATH": path}
    )
    assert (done.stdout, done.stderr) == ("loaded\nloaded\nran\n", "lerobot-ambient: loading LeRobot ...\n")


def test_a_closed_pipe_ends_quietly():
    code = (
        "import sys, types, lerobot_ambient.cli.__main__ as cli\n"
        "verb = types.ModuleType('lerobot_ambient.cli.talk')\n"
        "run = lambda args: [print('x' * 1000) for _ in range(1000)] and 0\n"
        "verb.add_parser = lambda sub: sub.add_parser('talk').set_defaults(run=run)\n"
        "sys.modules[verb.__name__] = verb; cli.VERBS = ('talk',); cli.LABORATORY = ()\n"
        "sys.exit(cli.main(['talk']))"
    )
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([sys.executable, "-c", code], stdout=writer, stderr=subprocess.PIPE, text=True)
    os.close(writer)
    assert (done.returncode, done.stderr) == (1, "")


def test_the_parser_is_light():
    """Loading LeRobot takes seconds, and `lerobot-ambient --help` has no use for it."""
    heavy = {"torch", "numpy", "lerobot", "datasets", "diffusers", "matplotlib", "pydrake", "ompl"}
    code = (
        "import sys; from lerobot_ambient.cli.__main__ import build_parser; build_parser()\n"
        f"print(*sorted({heavy} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_make_data_tells_the_time_that_the_user_waited(tmp_path, capsys):
    """Loading the libraries included: the clock runs from the command's own start."""
    args = cli.build_parser().parse_args(
        [
            "make-data",
            "sorting",
            "--logic=right",
            f"--root={tmp_path}",
            "--target-episodes=1",
            "--source-episodes=1",
            "--json",
        ]
    )
    args.began = time.perf_counter() - 1000.0
    assert args.run(args) == 0
    assert json.loads(capsys.readouterr().out)["seconds"] > 1000.0
