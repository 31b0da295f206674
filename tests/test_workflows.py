# SPDX-License-Identifier: Apache-2.0
"""What GitHub runs and shows, by the schemas and linters that know it, without a network; and what it calls exists."""

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from lerobot_ambient.cli.__main__ import build_parser

ROOT = Path(__file__).resolve().parents[1]
GITHUB = ROOT / ".github"
WORKFLOWS = sorted((GITHUB / "workflows").glob("*.yml"))
SCHEMAS = {
    "vendor.github-workflows": WORKFLOWS,
    "custom.github-workflows-require-timeout": WORKFLOWS,
    "vendor.github-issue-forms": sorted(
        set((GITHUB / "ISSUE_TEMPLATE").glob("*.yml")) - {GITHUB / "ISSUE_TEMPLATE/config.yml"}
    ),
    "vendor.github-issue-config": [GITHUB / "ISSUE_TEMPLATE/config.yml"],
    "vendor.dependabot": [GITHUB / "dependabot.yml"],
    "vendor.citation-file-format": [ROOT / "CITATION.cff"],
}
"""Schemas that come with check-jsonschema, and the files that must follow them."""

PINNED = re.compile(r"uses: [\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$")


def follows(schema: str, *files: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, *map(str, files)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def audited(*paths: Path) -> subprocess.CompletedProcess[str]:
    """zizmor's strictest reading of workflows, with nothing fetched and no configuration from elsewhere."""
    zizmor = Path(sys.executable).with_name("zizmor")
    if not zizmor.is_file():
        pytest.skip("the extra dev is needed to audit the workflows")
    command = [str(zizmor), "--offline", "--no-config", "--no-progress", "--persona=auditor", *map(str, paths)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def made() -> Iterator[tuple[str, list[str]]]:
    """The workflow and the words of every `make` that a step runs."""
    for path in WORKFLOWS:
        for job in yaml.safe_load(path.read_text())["jobs"].values():
            for line in "\n".join(step.get("run", "") for step in job["steps"]).splitlines():
                if (words := shlex.split(line)) and words[0] == "make":
                    yield path.name, words[1:]


# By schema


@pytest.mark.parametrize("schema", SCHEMAS)
def test_files_follow_their_schema(schema):
    pytest.importorskip("check_jsonschema", reason="the extra dev is needed to check what GitHub reads")
    assert SCHEMAS[schema]
    done = follows(schema, *SCHEMAS[schema])
    assert done.returncode == 0, done.stdout + done.stderr


BROKEN = [
    ("vendor.github-workflows", ".github/workflows/tests.yml", "runs-on:", "run-on:"),
    ("vendor.github-workflows", ".github/workflows/release.yml", "needs: build", "needs: [[build]]"),
    ("custom.github-workflows-require-timeout", ".github/workflows/docs.yml", "    timeout-minutes: 60\n", ""),
    ("vendor.github-issue-forms", ".github/ISSUE_TEMPLATE/bug.yml", "type: dropdown", "type: menu"),
    ("vendor.github-issue-config", ".github/ISSUE_TEMPLATE/config.yml", "false", "7"),
    ("vendor.dependabot", ".github/dependabot.yml", "github-actions", "github-action"),
    ("vendor.citation-file-format", "CITATION.cff", "authors:\n  - name", "writers:\n  - name"),
    ("vendor.citation-file-format", "CITATION.cff", "license: Apache-2.0", "license: Apache"),
]


@pytest.mark.parametrize(("schema", "file", "right", "wrong"), BROKEN)
def test_a_broken_file_is_noticed(schema, file, right, wrong, tmp_path):
    pytest.importorskip("check_jsonschema", reason="the extra dev is needed to check what GitHub reads")
    text = (ROOT / file).read_text()
    assert right in text
    broken = tmp_path / Path(file).name
    broken.write_text(text.replace(right, wrong))
    done = follows(schema, broken)
    assert done.returncode == 1, done.stdout + done.stderr


# By zizmor


def test_workflows_have_no_findings():
    done = audited(GITHUB)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("right", "wrong", "finding"),
    [
        ("permissions: {}", "permissions: write-all", "excessive-permissions"),
        ("          persist-credentials: false", "          persist-credentials: true", "artipacked"),
        ("run: make release-check", 'run: make release-check TAG="${{ github.ref_name }}"', "template-injection"),
        ("@ba38be9e461d3875417946c167d0b5f3d385a247 # v1.14.1", "@v1.14.1", "unpinned-uses"),
        (" # v1.14.1", " # v1.14.1\n        with: {password: '${{ secrets.TOKEN }}'}", "use-trusted-publishing"),
    ],
)
def test_a_careless_workflow_is_noticed(right, wrong, finding, tmp_path):
    text = (GITHUB / "workflows/release.yml").read_text()
    assert right in text
    folder = tmp_path / ".github/workflows"
    folder.mkdir(parents=True)
    (folder / "release.yml").write_text(text.replace(right, wrong))
    done = audited(folder / "release.yml")
    assert done.returncode != 0
    assert finding in done.stdout


# By the repository itself


def test_actions_are_pinned_by_commit_and_named_by_version():
    lines = [line.strip(" -") for path in WORKFLOWS for line in path.read_text().splitlines() if "uses:" in line]
    assert lines
    assert [line for line in lines if not PINNED.match(line)] == []
    versions = {line.partition("@")[0]: set() for line in lines}
    for line in lines:
        versions[line.partition("@")[0]].add(line.partition("@")[2])
    assert {action: pins for action, pins in versions.items() if len(pins) > 1} == {}


@pytest.mark.parametrize(
    ("workflow", "words"), made(), ids=lambda part: part if isinstance(part, str) else " ".join(part)
)
def test_what_a_workflow_makes_is_in_the_makefile(workflow, words):
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([\w-]+):", makefile, re.MULTILINE))
    assert [word for word in words if "=" not in word and word not in targets] == [], workflow
    read = set(re.findall(r"\$[({]+(\w+)", makefile))
    assert [word for word in words if "=" in word and word.partition("=")[0] not in read] == [], workflow


def test_only_the_job_that_a_person_approves_may_publish_and_it_runs_no_code_of_ours():
    jobs = {}
    for path in WORKFLOWS:
        jobs |= {(path.name, name): job for name, job in yaml.safe_load(path.read_text())["jobs"].items()}
    more = {name for name, job in jobs.items() if job["permissions"] != {"contents": "read"}}
    assert more == {("release.yml", "publish")}
    publish = jobs["release.yml", "publish"]
    assert publish["environment"] == "pypi"
    assert publish["permissions"] == {"id-token": "write"}
    assert [step["uses"].partition("@")[0] for step in publish["steps"]] == [
        "actions/download-artifact",
        "pypa/gh-action-pypi-publish",
    ]


def test_every_workflow_makes_something():
    assert {name for name, _ in made()} == {path.name for path in WORKFLOWS}


def test_the_pythons_tested_are_those_declared():
    matrix = yaml.safe_load((GITHUB / "workflows/tests.yml").read_text())["jobs"]["tests"]["strategy"]["matrix"]
    declared = re.findall(r"Python :: (3\.\d+)", (ROOT / "pyproject.toml").read_text())
    assert matrix["python"] == declared


def test_commands_that_forms_ask_for_parse():
    text = "\n".join(path.read_text() for path in (GITHUB / "ISSUE_TEMPLATE").glob("*.yml"))
    asked = [shlex.split(span)[1:] for span in re.findall(r"`(lerobot-ambient [^`]+)`", text)]
    assert ["doctor", "--json"] in asked
    for words in asked:
        if words != ["--version"]:
            build_parser().parse_args(words if words != ["inspect"] else [*words, "--config_path=mine.yaml"])
