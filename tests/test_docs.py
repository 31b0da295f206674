# SPDX-License-Identifier: Apache-2.0
"""The documentation against the code: links, commands, options, tables.

No command is executed here, but for the dry runs of jobs and the lines for Trackio.
"""

import argparse
import ast
import dataclasses
import importlib
import json
import re
import runpy
import shlex
import subprocess
import sys
import types
from collections.abc import Iterator
from pathlib import Path

import pytest

from lerobot_ambient.cli.__main__ import build_parser

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
OURS = [page for page in PAGES if ROOT / "docs/results" not in page.parents]
"""Pages written by hand; those of results are written by the experiments."""
MADE_BY_RUNS = {"docs/results/maze.md"}
"""Pages that a link may name before the experiment that writes them was run."""
OWN_CONFIG = "mine.yaml"
"""The configuration that a reader writes with `init`."""

LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
OPTION = re.compile(r"--[a-z_]+(?:[._-][a-z0-9_]+)*")
STOCK = ("lerobot-train", "lerobot-eval")

VARIABLE = re.compile(r"\.\.\.|\([^)]*\)|, then|`|'[^']*'|\b[NMX]\b(?:-1)?|KEY| or |[\[\]]")
"""What splits a message of the errors page into words that the code holds as they stand."""

ids = [str(page.relative_to(ROOT)) for page in OURS]


def prose(page: Path) -> str:
    return FENCE.sub("", page.read_text(encoding="utf-8"))


def anchors(page: Path) -> set[str]:
    """The anchors GitHub gives a page's headings."""
    titles = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in titles}


def commands(page: Path) -> Iterator[list[str]]:
    """Every command line of the page's bash blocks as words, continuation lines joined, comments dropped."""
    for language, body in FENCE.findall(page.read_text(encoding="utf-8")):
        if language != "bash":
            continue
        pending = ""
        for line in body.replace("\\\n", " ").splitlines():
            pending += line + "\n"
            try:
                words = shlex.split(pending.replace("$(which lerobot-train)", "lerobot-train"), comments=True)
            except ValueError:
                continue  # An open quotation goes on in the next line.
            pending = ""
            if words:
                yield words
        assert not pending.strip(), f"{page.name}: a quotation is never closed: {pending}"


def commands_of(program: str) -> list[tuple[str, list[str]]]:
    return [
        (page.name, words[words.index(program) :]) for page in OURS for words in commands(page) if program in words[:6]
    ]


def table(page: Path, heading: str, column: int = 0) -> dict[str, list[str]]:
    """The tables of a section: first code word of a row to the row's cells."""
    section = re.search(rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", page.read_text(), re.MULTILINE | re.DOTALL)
    assert section, f"{page.name} has no section '{heading}'"
    rows = {}
    for line in section[1].splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split(" | ")]
        if line.startswith("| `"):
            rows[cells[column].split("`")[1]] = cells
    return rows


def parsers(parser: argparse.ArgumentParser, name: str) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    yield name, parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for verb, below in action.choices.items():
                yield from parsers(below, f"{name} {verb}")


# Links


@pytest.mark.parametrize("page", OURS, ids=ids)
def test_relative_links_and_anchors_resolve(page):
    broken = []
    for target in LINK.findall(prose(page)):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        if not file.exists():
            if str(file.relative_to(ROOT)) not in MADE_BY_RUNS:
                broken.append(target)
        elif anchor and anchor not in anchors(file):
            broken.append(target)
    assert broken == []


def test_every_page_is_reachable_from_the_readme():
    seen, todo = set(), [ROOT / "README.md"]
    while todo:
        page = todo.pop()
        if page in seen or not page.is_file() or page.suffix != ".md":
            continue
        seen.add(page)
        links = [link.partition("#")[0] for link in LINK.findall(prose(page)) if not re.match(r"[a-z]+:", link)]
        todo += [(page.parent / link).resolve() for link in links if link]
    assert [str(page.relative_to(ROOT)) for page in PAGES if page not in seen] == []


@pytest.mark.parametrize("page", OURS, ids=ids)
def test_files_that_are_named_exist(page):
    """Code spans that look like files of the repository."""
    places = (ROOT, ROOT / "lerobot_ambient", *(ROOT / "lerobot_ambient").rglob("*/"))
    named = re.findall(r"`((?:[\w.*-]+/)*[\w.*-]+\.(?:py|sh|txt|toml)|configs/[\w./*-]+)`", prose(page))
    assert [name for name in named if not any(list(place.glob(name)) for place in places)] == []


# Commands


def test_the_readme_shows_the_commands_it_promises():
    shown = [" ".join(words) for words in commands(ROOT / "README.md")]
    for start in ("make demo", "make test", "pip install -e .", "lerobot-train", "lerobot-eval", "accelerate launch"):
        assert any(command.startswith(start) for command in shown), start
    assert any("--resume=true" in command for command in shown)
    assert any(command.startswith("lerobot-train --policy.path=") for command in shown)


def test_our_commands_parse():
    found = commands_of("lerobot-ambient")
    assert len(found) >= 5
    for name, words in found:
        try:
            args, more = build_parser().parse_known_args(words[1:])
        except SystemExit:
            pytest.fail(f"{name}: {shlex.join(words)} does not parse")
        assert not more or getattr(args, "takes_more", False), f"{name}: {shlex.join(words)}: unknown {more}"
        config = getattr(args, "config_path", None)
        assert config in (None, OWN_CONFIG) or (ROOT / config).is_file(), f"{name}: {config} is not there"


def training_commands() -> dict[str, str]:
    """Distinct arguments of lerobot-train, and of our verbs that take the same; and the page that shows them."""
    found = {shlex.join(words[1:]): page for page, words in commands_of("lerobot-train")}
    for page, words in commands_of("lerobot-ambient"):
        args, more = build_parser().parse_known_args(words[1:])
        config = getattr(args, "config_path", None)
        # The policy server takes options of LeRobot's server, not of its training.
        # What `init` is given lacks the datasets, which it puts there. What `check` is given names a dataset alone.
        if args.verb not in ("policy-server", "init", "check") and (config is not None or more):
            found.setdefault(shlex.join([*([f"--config_path={config}"] if config else []), *more]), page)
    return found


def type_of(path: str) -> str:
    """`--policy.path=PATH` as the type that its checkpoint has: SmolVLA's and its fine-tunes' have it in their name."""
    return f"--policy.type=ambient_{'smolvla' if 'smolvla' in path else 'diffusion'}"


def resolved(words: list[str], monkeypatch: pytest.MonkeyPatch):
    """LeRobot's configuration of a training command, parsed as lerobot-train and inspect parse it."""
    from lerobot_ambient.integration.training.configured_mixture import load_train_config

    config = next((word.partition("=")[2] for word in words if word.startswith("--config_path=")), None)
    more = [word for word in words if not word.startswith("--config_path=")]
    if config is not None and not (ROOT / config).exists():
        on_the_hub = re.fullmatch(r"me/\w+", config)
        in_a_run = config.endswith("checkpoints/last/pretrained_model/train_config.json")
        assert on_the_hub or in_a_run or config == OWN_CONFIG, config
        config = "configs/maze/ambient.yaml"
    # `--policy.path` loads a checkpoint's config first; its policy type is ours.
    more = [type_of(word) if word.startswith("--policy.path=") else word for word in more]
    monkeypatch.chdir(ROOT)
    return load_train_config(config, more)


def test_training_commands_are_what_lerobot_train_accepts(monkeypatch):
    found = training_commands()
    assert len(found) >= 12
    for command, page in found.items():
        words = shlex.split(command)
        try:
            cfg = resolved(words, monkeypatch)
        except (SystemExit, Exception) as error:
            pytest.fail(f"{page}: {command}: {error}")
        asks_for_sources = any(word.startswith("--policy.sources=") for word in words)
        assert cfg.dataset.repo_id
        assert bool(cfg.policy.sources) or not asks_for_sources


def test_training_commands_say_where_the_policy_goes():
    """LeRobot refuses a run that would push to the Hub without a name; a configuration file or checkpoint has one."""
    for page, words in commands_of("lerobot-train"):
        if not any(word.startswith("--config_path=") for word in words):
            said = [word for word in words if word.startswith(("--policy.repo_id=", "--policy.push_to_hub=false"))]
            assert said, f"{page}: {shlex.join(words)}"


def test_a_wrong_option_would_be_noticed(monkeypatch):
    for wrong in ("--policy.sourcs=[]", '--policy.sources=[{"repo": "me/sim"}]', "--batchsize=3"):
        with pytest.raises((SystemExit, Exception)):
            resolved(["--policy.type=ambient_diffusion", "--dataset.repo_id=me/target", wrong], monkeypatch)


def test_evaluation_commands_are_what_lerobot_eval_accepts():
    import draccus
    from lerobot.configs.eval import EvalPipelineConfig

    found = commands_of("lerobot-eval")
    assert len(found) >= 3
    for name, words in found:
        more = [type_of(w) if w.startswith("--policy.path=") else w for w in words[1:]]
        try:
            cfg = draccus.parse(EvalPipelineConfig, args=more)
        except SystemExit:
            pytest.fail(f"{name}: {shlex.join(words)} does not parse")
        assert cfg.env.type.startswith("ambient_") or cfg.env.type == "aloha"
        assert cfg.eval.use_async_envs is False


def test_jobs_are_what_the_hub_would_take_and_train_as_lerobot_does(tmp_path, monkeypatch):
    """The command by its own dry run; what it trains, in the container, by LeRobot's parser."""
    (tmp_path / "job").mkdir()
    found = [words for page in OURS for words in commands(page) if words[:3] == ["hf", "jobs", "run"]]
    assert found
    for words in found:
        hf = str(Path(sys.executable).with_name("hf"))
        line = [hf, "jobs", "run", "--dry-run", *words[3:]]
        done = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert "Job not submitted" in done.stdout
        (inner,) = (word for word in words if "lerobot-train" in word)
        _, _, training = inner.rpartition("lerobot-train")
        more = shlex.split(training.replace("/job/mine.yaml", OWN_CONFIG))
        cfg = resolved(more, monkeypatch)
        assert (cfg.policy.push_to_hub, cfg.save_checkpoint_to_hub) == (True, True)


def test_trackio_is_sent_every_line_of_the_metrics(tmp_path, monkeypatch):
    """The page's own lines, with a stand-in that keeps what it is given."""
    text = (ROOT / "docs/how-to/train-elsewhere.md").read_text(encoding="utf-8")
    (code,) = (body for language, body in FENCE.findall(text) if language == "python" and "import trackio" in body)
    folder = tmp_path / "outputs/train/mine"
    folder.mkdir(parents=True)
    (folder / "metrics.jsonl").write_text(
        '{"step": 10, "mode": "train", "loss": 1.5, "share/me/target": 0.75}\n'
        '{"step": 20, "mode": "eval", "eval_loss": 0.5, "eval_loss/sigma_0.00_0.10": 0.25}\n'
    )
    sent: list[object] = []
    trackio = types.ModuleType("trackio")
    trackio.init = lambda **given: sent.append(given)
    trackio.log = lambda values, step: sent.append((step, values))
    trackio.finish = lambda: sent.append("finish")
    monkeypatch.setitem(sys.modules, "trackio", trackio)
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "train-elsewhere.md", "exec"), {})  # noqa: S102
    assert sent == [
        {"project": "ambient", "name": "mine"},
        (10, {"train/loss": 1.5, "train/share/me/target": 0.75}),
        (20, {"eval/eval_loss": 0.5, "eval/eval_loss/sigma_0.00_0.10": 0.25}),
        "finish",
    ]


@pytest.mark.parametrize("script", ["record", "rollout", "teleoperate", "replay"])
def test_commands_of_arms_are_what_lerobot_accepts(script, monkeypatch):
    """Robots, cameras and teleoperators come with plugins and options of their own, all parsed as LeRobot does."""
    import draccus

    from lerobot_ambient.testing.video_camera import config_camera  # noqa: F401

    module = importlib.import_module(f"lerobot.scripts.lerobot_{script}")
    configs = [value for name, value in vars(module).items() if re.fullmatch(rf"{script}Config", name, re.IGNORECASE)]
    (config,) = configs
    if script == "rollout":
        # It loads the checkpoint, which is not there.
        monkeypatch.setattr(config, "__post_init__", lambda self: None)
    found = commands_of(f"lerobot-{script}")
    assert found
    for name, words in found:
        more = [type_of(w) if w.startswith("--policy.path=") else w for w in words[1:]]
        try:
            draccus.parse(config, args=more)
        except (SystemExit, Exception) as error:
            pytest.fail(f"{name}: {shlex.join(words)}: {error}")


def test_the_page_of_the_arm_makes_what_it_uses():
    """Every file and folder that a command of the page reads is written by an earlier one."""
    made = {"outputs/arm/calibration"}
    reads = ("port", "root", "index_or_path", "windows", "path", "calibration_dir", "draw")
    for words in commands(ROOT / "docs/how-to/from-checkpoint-to-arm.md"):
        verb = words[1] if words[0] == "lerobot-ambient" else words[0]
        text = " ".join(words[1:])
        makes = {
            "virtual-arm": r"--port (\S+)|--make-video (\S+)",
            "lerobot-record": r"--dataset\.root=(\S+)",
            "annotate": r"--windows-dir=(\S+)",
            "lerobot-train": r"--output_dir=(\S+)",
            "lerobot-rollout": r"--dataset\.root=(\S+)",
        }.get(verb, r"(?!)")
        new = {path for match in re.findall(makes, text) for path in ([match] if isinstance(match, str) else match)} - {
            ""
        }
        named = re.findall(rf"(?:{'|'.join(reads)})[\"'=: ]+(outputs/[^\s,\"'}}]+|\w+\.avi)", text)
        missing = [path for path in named if path not in new and not {path, *map(str, Path(path).parents)} & made]
        assert missing == [], f"{shlex.join(words)[:200]} reads {missing}, which nothing above it makes"
        made |= new


@pytest.mark.parametrize("page", OURS, ids=ids)
def test_options_named_in_the_text_exist(page):
    """Options with a dot in code spans, e.g. `--policy.mlp_width`: the path leads through LeRobot's dataclasses."""
    from lerobot.configs import PreTrainedConfig
    from lerobot.configs.default import DatasetConfig, EvalConfig

    from lerobot_ambient.integration import register_now
    from lerobot_ambient.policy.options.mixture_options import ambient_types

    register_now()
    of_policies = [PreTrainedConfig.get_choice_class(kind) for kind in ambient_types()]
    owners = {"policy": of_policies, "dataset": [DatasetConfig], "eval": [EvalConfig]}
    unknown = []
    for span in re.findall(r"`([^`\n]+)`", prose(page)):
        for option in re.findall(r"(?<![\w./])(?:--)?((?:policy|dataset|eval)\.[a-z_]+)", span):
            owner, name = option.split(".")
            fields = {field.name for config in owners[owner] for field in dataclasses.fields(config)}
            if name not in fields | {"type", "path"}:
                unknown.append(option)
    # Of LeRobots after the pinned one; what is done with them is told too.
    assert set(unknown) <= {"dataset.exclude_episodes", "dataset.split_ratio"}


def test_python_examples_compile_and_import_what_exists():
    found = 0
    for page in OURS:
        for language, body in FENCE.findall(page.read_text(encoding="utf-8")):
            if language != "python":
                continue
            found += 1
            for node in ast.walk(ast.parse(body)):
                if isinstance(node, ast.ImportFrom) and node.module:
                    module = importlib.import_module(node.module)
                    assert [alias.name for alias in node.names if not hasattr(module, alias.name)] == []
    assert found


def test_yaml_examples_are_policies(tmp_path, monkeypatch):
    import yaml

    for page in OURS:
        for language, body in FENCE.findall(page.read_text(encoding="utf-8")):
            if language == "yaml":
                values = yaml.safe_load(body)
                file = tmp_path / "example.yaml"
                file.write_text(yaml.safe_dump({"dataset": {"repo_id": "me/target"}, **values}))
                cfg = resolved([f"--config_path={file}"], monkeypatch)
                assert len(cfg.policy.sources) == len(values["policy"]["sources"])


# Reference


def test_the_cli_reference_has_every_verb_and_option():
    page = ROOT / "docs/reference/cli.md"
    text = page.read_text()
    for name, parser in parsers(build_parser(), "lerobot-ambient"):
        options = {option for action in parser._actions for option in action.option_strings if option[:2] == "--"}
        assert [option for option in sorted(options) if not re.search(rf"{option}(?![\w-])", text)] == [], name
        if any(isinstance(action, argparse._SubParsersAction) for action in parser._actions):
            continue
        own = options - {"--help", "--debug"}
        assert set(table(page, name)) == own, name
        for action in parser._actions:
            if isinstance(action.default, int) and not isinstance(action.default, bool):
                assert table(page, name)[action.option_strings[0]][1] == str(action.default)


def test_the_cli_reference_has_the_sizes_of_every_experiment():
    from lerobot_ambient.benchmarks.engine.study import SIZE_FLAGS, options_for
    from lerobot_ambient.benchmarks.studies.catalogue import NAMES, study_named

    page = ROOT / "docs/reference/cli.md"
    for name in NAMES:
        study = study_named(name)
        full, quick = options_for(study, Path("x")), options_for(study, Path("x"), quick=True)
        rows = table(page, f"lerobot-ambient reproduce {name}")
        for field in ("arms", *SIZE_FLAGS):
            shown = rows[f"--{field.replace('_', '-')}"]
            for options, cell in ((full, shown[1]), (quick, shown[2])):
                value = options.conditions if field == "arms" else getattr(options.sizes, field)
                text = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
                assert cell.strip("`") == ("all" if value == study.order else text), (name, field)
        assert re.findall(r"`([\w:.-]+)`", rows["--arms"][3]) == list(study.order)


def _default(field: dataclasses.Field) -> object:
    return field.default if field.default is not dataclasses.MISSING else field.default_factory()  # type: ignore[misc]


def test_the_policy_reference_has_every_option_with_its_default():
    from lerobot.policies.diffusion.configuration_diffusion import DiffusionConfig

    from lerobot_ambient.data.declared.alignment import FITS, INTERPOLATIONS, CameraConfig, DimensionConfig
    from lerobot_ambient.data.declared.sources import ACTION_TYPES, NORMALIZATIONS, Source
    from lerobot_ambient.policy.diffusion.configuration_ambient_diffusion import (
        DENOISERS,
        OBJECTIVES,
        AmbientDiffusionConfig,
    )
    from lerobot_ambient.policy.options.mixing import MixingConfig
    from lerobot_ambient.policy.options.mixture_options import MixtureOptions

    page = ROOT / "docs/reference/policy-config.md"
    inherited = {field.name for field in dataclasses.fields(DiffusionConfig)}
    own = [field for field in dataclasses.fields(AmbientDiffusionConfig) if field.name not in inherited]
    shared = list(dataclasses.fields(MixtureOptions))
    names = {field.name for field in shared}
    tables = {"MixtureOptions": shared, "AmbientDiffusionConfig": [f for f in own if f.name not in names]} | {
        rule.__name__: list(dataclasses.fields(rule)) for rule in (Source, DimensionConfig, CameraConfig)
    }
    choices = {
        ("MixtureOptions", "target_action_type"): ACTION_TYPES,
        ("AmbientDiffusionConfig", "denoiser"): DENOISERS,
        ("AmbientDiffusionConfig", "objective"): OBJECTIVES,
        ("Source", "action_type"): ACTION_TYPES,
        ("Source", "normalization"): NORMALIZATIONS,
        ("DimensionConfig", "interpolation"): INTERPOLATIONS,
        ("CameraConfig", "fit"): FITS,
    }
    for heading, fields in tables.items():
        rows = table(page, heading)
        assert list(rows) == [field.name for field in fields], heading
        for field in fields:
            default = _default(field)
            shown = rows[field.name][2].strip("`")
            if isinstance(default, MixingConfig):
                assert shown == default.get_choice_name(type(default))
                assert default == type(default)()
            elif default == "":
                assert shown == "required"
            else:
                assert shown == str(default), field.name
            if (heading, field.name) in choices:
                assert re.findall(r"`(\w+)`", rows[field.name][1]) == list(choices[heading, field.name]), field.name


def test_the_policy_reference_has_every_mixing():
    from lerobot_ambient.policy.options.mixing import MixingConfig

    rows = table(ROOT / "docs/reference/policy-config.md", "Mixings")
    for name, rule in MixingConfig.get_known_choices().items():
        options = [field.name for field in dataclasses.fields(rule)]
        assert re.findall(r"`(\w+)`", rows[name][1]) == options
        assert rows[name][2].startswith("yes" if rule.needs_windows else "no")
        assert set(options) <= set(rows)
    assert set(rows) == {*MixingConfig.get_known_choices(), "alpha", "sigmas", "clean_shares"}
    for name in MixingConfig.get_known_choices():
        assert f"| `{name}`" in (ROOT / "README.md").read_text()


def test_the_windows_reference_is_the_schema(tmp_path):
    import numpy as np
    import pyarrow.parquet as pq

    from lerobot_ambient.data.normalization.affine import ActionNormalization
    from lerobot_ambient.data.windows.windows_file import WindowTable, write_windows

    zero = np.zeros(1, dtype=np.int64)
    normalization = ActionNormalization("MIN_MAX", False, (0.0,), (1.0,), 16)
    level = np.zeros(1, dtype=np.float32)
    write_windows(WindowTable("me/sim", zero, zero, level, level, normalization, "manual"), tmp_path / "w.parquet")
    schema = pq.read_schema(tmp_path / "w.parquet")
    page = ROOT / "docs/reference/windows-file.md"
    assert list(table(page, "Columns")) == schema.names
    for name, row in table(page, "Columns").items():
        stored = str(schema.field(name).type).replace("list<element: float>", "list of float32")
        assert row[1].startswith({"float": "float32"}.get(stored, stored)), name
    metadata = json.loads(schema.metadata[b"lerobot_ambient"])
    assert list(table(page, "Metadata")) == list(metadata)
    assert [key for key in metadata["normalization"] if f"`{key}`" not in page.read_text()] == []


def test_the_page_of_the_merge_on_disk_has_its_columns_and_keys():
    from lerobot_ambient.data.windows.merged_file import TAGS, MergedFile, MergedSource

    page = ROOT / "docs/how-to/merge-to-disk.md"
    rows = table(page, "The columns")
    assert list(rows) == list(TAGS)
    assert all(row[1].startswith(TAGS[name]["dtype"]) for name, row in rows.items())
    assert set(table(page, "The file")) == {"schema_version", *(field.name for field in dataclasses.fields(MergedFile))}
    # Stored as a value of `window`.
    stored = {field.name for field in dataclasses.fields(MergedSource)} - {"per_frame"}
    assert [name for name in stored if f"`{name}`" not in page.read_text()] == []


def test_messages_in_the_errors_page_are_messages_of_the_code():
    """The fixed words of each message, as the code writes them, numbers and names left out."""
    sources = "\n".join(path.read_text() for path in (ROOT / "lerobot_ambient").rglob("*.py"))
    # Neighbouring string literals are one message.
    code = re.sub(r"\s+", " ", re.sub(r'["\']\s*\n\s*f?["\']', "", sources))
    page = ROOT / "docs/reference/errors.md"
    foreign = ("unrecognized arguments", "...: Couldn't parse", "Policy type ... not supported")
    rows = [line.split(" | ")[0].removeprefix("| ") for line in page.read_text().splitlines() if line.startswith("| ")]
    rows = [row for row in rows if row != "the message says" and not row.startswith(foreign)]
    assert len(rows) >= 35
    missing = []
    for row in rows:
        for message in row.split(" / "):
            pieces = [piece.strip(" ,:") for piece in VARIABLE.split(message)]
            missing += [piece for piece in pieces if len(piece) > 7 and piece not in code]
    assert missing == []


def test_the_architecture_page_has_every_room():
    package = ROOT / "lerobot_ambient"
    folders = {path.parent for path in package.rglob("*.py") if path.name != "__init__.py"} - {package}
    rooms = {
        f"{folder.relative_to(package).as_posix()}/": ast.get_docstring(ast.parse(file.read_text())).splitlines()[0]
        for folder in folders
        if (file := folder / "__init__.py").is_file()
    }
    page = (ROOT / "docs/architecture.md").read_text()
    table = dict(re.findall(r"^\| `([\w/]+/)` \| (.+) \|$", page, flags=re.M))
    assert table == rooms


@pytest.mark.parametrize("page", OURS, ids=ids)
def test_lines_are_at_most_120_wide(page):
    """Tables, commands' outputs and links cannot be wrapped."""
    lines = prose(page).splitlines()
    wide = [line for line in lines if len(line) > 120 and not line.startswith(("|", "    "))]
    assert wide == []


def test_the_table_of_all_studies_is_that_of_their_results():
    made = runpy.run_path(str(ROOT / "scripts/results_overview.py"))
    text = made["PAGE"].read_text(encoding="utf-8")
    assert "[sorting](sorting.md)" in text
    assert made["page"](text) == text, "run scripts/results_overview.py"
