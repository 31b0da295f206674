# SPDX-License-Identifier: Apache-2.0
"""The shapes of what the verbs print with `--json` and of the windows files they write: scripts read them."""

from __future__ import annotations

import functools
import json
import subprocess
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from .surfaces import SMALL, command

TEXTS = ("notes", "warnings", "problems")
"""Keys of lists of sentences, which may be empty."""


def shape(value: Any) -> Any:
    """Keys to types, in which what may be of two types is of both; a list is shown by what all its entries may be."""
    if isinstance(value, dict):
        return {key: shape(one) if key not in TEXTS else _texts(one) for key, one in value.items()}
    if isinstance(value, list):
        return [functools.reduce(_either, map(shape, value))] if value else []
    return {bool: "bool", int: "number", float: "number", str: "string", type(None): "null"}[type(value)]


def _texts(value: list[str]) -> str:
    assert all(isinstance(one, str) for one in value)
    return "texts, or none"


def _either(one: Any, other: Any) -> Any:
    """A shape that both have; keys that one of them lacks are marked."""
    if isinstance(one, dict) and isinstance(other, dict):
        names = {key.removesuffix("?"): None for key in (*one, *other)}
        return dict(_either_at(name, one, other) for name in names)
    if isinstance(one, list) and isinstance(other, list):
        return [functools.reduce(_either, [*one, *other])] if one or other else []
    if isinstance(one, str) and isinstance(other, str):
        return " | ".join(sorted({*one.split(" | "), *other.split(" | ")}))
    # Values and nothing, or values and a word.
    plain, inside = (one, other) if isinstance(one, str) else (other, one)
    return {f"{plain} or": inside} if isinstance(inside, list | dict) else plain


def _either_at(name: str, one: dict[str, Any], other: dict[str, Any]) -> tuple[str, Any]:
    found = [(key, shapes[key]) for shapes in (one, other) for key in (name, f"{name}?") if key in shapes]
    whole = len(found) == 2 and not any(key.endswith("?") for key, _ in found)
    return name if whole else f"{name}?", functools.reduce(_either, (value for _, value in found))


@pytest.fixture
def answer(root_of, capsys):
    """`answer(words, ...)`: the values that the command prints, with a target and a source among its words."""

    def ask(*words: str, target: str = "target", source: str = "sim", code: int = 0, **options: Any) -> Any:
        declared = {"repo_id": f"me/{source}", "root": str(root_of(source)), **options}
        policy = {**SMALL, "sources": [declared]}
        on = [
            f"--policy.{key}={value if isinstance(value, str) else json.dumps(value)}" for key, value in policy.items()
        ]
        on += [f"--dataset.repo_id=me/{target}", f"--dataset.root={root_of(target)}"]
        return printed([*words, "--json", *on], code)

    def printed(words: list[str], code: int = 0) -> Any:
        capsys.readouterr()
        assert command()(words) == code
        return json.loads(capsys.readouterr().out)

    ask.printed = printed  # type: ignore[attr-defined]
    return ask


def test_inspect(answer, contract):
    contract("json/inspect.json", shape(answer("inspect", sigma_min=0.4)))


def test_inspect_suggest(answer, contract):
    contract("json/inspect_suggest.json", shape(answer("inspect", "--suggest", source="renamed")))


def test_view(answer, contract, tmp_path):
    words = ("--episodes=50", f"--output-dir={tmp_path / 'page'}")
    contract("json/view.json", shape(answer("view", *words, sigma_min=0.4)))


def test_doctor(answer, contract, monkeypatch):
    # It asks another process, which imports LeRobot anew, whether the plugin is found; that takes seconds.
    monkeypatch.setattr(subprocess, "run", lambda words, **_: subprocess.CompletedProcess(words, 1, "", "not asked"))
    contract("json/doctor.json", shape(answer("doctor", sigma_min=0.4, code=1)))


def test_merge(answer, contract, tmp_path):
    words = ("--repo-id=me/merged", f"--output={tmp_path / 'merged'}")
    contract("json/merge.json", shape(answer("merge", *words, sigma_min=0.4)))
    meta = tmp_path / "merged" / "meta"
    said = json.loads((meta / "ambient_merge.json").read_text())
    assert said.pop("stats").keys() >= {"action", "observation.state"}
    features = json.loads((meta / "info.json").read_text())["features"]
    tags = {key: spec for key, spec in features.items() if key.startswith("ambient.")}
    contract("merge_file.json", {"schema_version": said["schema_version"], "file": shape(said), "columns": tags})


def test_check(answer, contract, root_of):
    saved = Path(__file__).parent / "checkpoint" / "pretrained_model"
    on = ["--dataset.repo_id=me/target", f"--dataset.root={root_of('target')}", "--allow-seen", "--samples=16"]
    found = answer.printed(["check", str(saved), "--json", *on])
    # Its keys are the names of the checkpoints.
    found["checkpoints"] = list(found["checkpoints"].values())
    contract("json/check.json", shape(found))


def test_annotate_spectral(answer, contract, tmp_path):
    words = ("--method=spectral", "--locality", f"--windows-dir={tmp_path}", "--accept-full-trust")
    contract("json/annotate_spectral.json", shape(answer("annotate", *words, target="many", source="rough")))
    contract("windows_spectral.json", windows_file(tmp_path / "me__rough.parquet"))


def test_annotate_classifier(answer, contract, tmp_path):
    words = ["--method=classifier", "--folds=2", "--steps=2", "--draws=4", "--levels=4", f"--work-dir={tmp_path}/work"]
    words += [f"--windows-dir={tmp_path}", "--accept-full-trust"]
    contract("json/annotate_classifier.json", shape(answer("annotate", *words, target="many", source="rough")))
    contract("windows_classifier.json", windows_file(tmp_path / "me__rough.parquet"))


def test_bench_loader(answer, contract):
    words = ["--pairs=1", "--batch-size=8", "--seconds=0.01", "--workers=0", "--skip-video"]
    contract("json/bench_loader.json", shape(answer.printed(["bench", "loader", "--json", *words])))


def windows_file(path: Path) -> dict[str, Any]:
    """Columns with their types, and the shape of the metadata that a windows file has under its key."""
    schema = pq.read_schema(path)
    metadata = json.loads(schema.metadata[b"lerobot_ambient"])
    return {
        "columns": {field.name: str(field.type) for field in schema},
        "schema_version": metadata["schema_version"],
        "lerobot_ambient": shape(metadata),
    }
