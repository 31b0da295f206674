# SPDX-License-Identifier: Apache-2.0
"""What is published: the addresses in the metadata, and the check that comes before a release."""

import importlib.util
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from email.parser import BytesParser
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
REPOSITORY = PYPROJECT["tool"]["hatch"]["metadata"]["hooks"]["custom"]["repository"]
PUBLIC = "https://example.org/someone/project"


def script(name: str):
    spec = importlib.util.spec_from_file_location(name, ROOT / "scripts" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# The address


def test_the_address_of_the_repository_is_written_once():
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("this is no checkout")
    files = [ROOT / name for name in listed.stdout.splitlines()]
    where = REPOSITORY.partition("://")[2].encode()
    found = {str(file.relative_to(ROOT)): file.read_bytes().count(where) for file in files if file.is_file()}
    assert {name: count for name, count in found.items() if count} == {"pyproject.toml": 1}


@pytest.mark.parametrize(
    ("text", "becomes"),
    [
        ("[a](docs/a.md)", f"[a]({PUBLIC}/blob/v1/docs/a.md)"),
        ("[a\nb](docs/a.md#c)", f"[a\nb]({PUBLIC}/blob/v1/docs/a.md#c)"),
        ("![a](docs/a.png)", f"![a]({PUBLIC}/raw/v1/docs/a.png)"),
        ("[a](LICENSE).", f"[a]({PUBLIC}/blob/v1/LICENSE)."),
        ("[a](#b)", "[a](#b)"),
        ("[a](https://arxiv.org/abs/1)", "[a](https://arxiv.org/abs/1)"),
        ("[a](mailto:b)", "[a](mailto:b)"),
        ("f [b, c], (d)", "f [b, c], (d)"),
        ('<img src="docs/a.gif" alt="x">', f'<img src="{PUBLIC}/raw/v1/docs/a.gif" alt="x">'),
        ('<source srcset="docs/b.png">', f'<source srcset="{PUBLIC}/raw/v1/docs/b.png">'),
        ('<img src="https://example.org/a.png">', '<img src="https://example.org/a.png">'),
    ],
)
def test_relative_links_lead_into_the_repository(text, becomes):
    pytest.importorskip("hatchling")
    assert script("addresses").absolute(text, PUBLIC, "v1") == becomes


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    """A folder with the wheel and the sdist, and the wheel that the sdist builds."""
    pytest.importorskip("hatchling", reason="the extra dev is needed to build the distribution")
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder)]
    done = subprocess.run([*command, str(ROOT)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def metadata_of(file: Path):
    if file.suffix == ".whl":
        with zipfile.ZipFile(file) as archive:
            (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
            return BytesParser().parsebytes(archive.read(name))
    with tarfile.open(file) as archive:
        (name,) = (name for name in archive.getnames() if name.count("/") == 1 and name.endswith("/PKG-INFO"))
        return BytesParser().parsebytes(archive.extractfile(name).read())


def test_wheel_and_sdist_say_the_same_and_pypi_would_take_them(built):
    """`build` makes the wheel from the sdist: the hook must be in it."""
    pytest.importorskip("twine", reason="the extra dev is needed to check what PyPI would refuse")
    wheel, sdist = (metadata_of(next(built.glob(f"*{kind}"))) for kind in (".whl", ".tar.gz"))
    assert wheel.items() == sdist.items()
    assert wheel.get_payload() == sdist.get_payload()
    files = [str(path) for path in sorted(built.iterdir())]
    done = subprocess.run([sys.executable, "-m", "twine", "check", "--strict", *files], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("PASSED") == 2


def test_what_pypi_shows_has_no_relative_link(built):
    found = metadata_of(next(built.glob("*.whl")))
    version = PYPROJECT["project"]["version"]
    urls = dict(line.split(", ") for line in found.get_all("Project-URL"))
    assert urls["Repository"] == REPOSITORY
    assert urls["Changelog"] == f"{REPOSITORY}/blob/v{version}/CHANGELOG.md"
    text = found.get_payload()
    links = re.findall(r"\[[^\]]*\]\(([^)\s]+)\)", text)
    assert links
    assert [link for link in links if not link.startswith(("https://", "#"))] == []
    inside = rf"""{re.escape(REPOSITORY)}/(blob|raw)/v{re.escape(version)}/([^)#\s"]+)"""
    for kind, path in re.findall(inside, text):
        assert (ROOT / path).is_file(), path
        assert (kind == "raw") == path.endswith((".png", ".gif"))
    assert re.findall(r' (?:src|srcset)="(?!https://)[^"]*"', text) == []


# The check before a release


@pytest.fixture
def ready(tmp_path) -> Path:
    """A checkout that may be released as 1.2.3."""
    (tmp_path / "pyproject.toml").write_text(
        f'[project]\nname = "p"\nversion = "1.2.3"\n[tool.hatch.metadata.hooks.custom]\nrepository = "{PUBLIC}"\n'
    )
    (tmp_path / "CHANGELOG.md").write_text(
        "# Changelog\n\n## Unreleased\n\n## 1.2.3 - 2026-01-31\n\n- New.\n\n## 1.2.2 - 2025-12-31\n\n- Old.\n"
    )
    (tmp_path / "dist").mkdir()
    for name in ("p-1.2.3-py3-none-any.whl", "p-1.2.3.tar.gz"):
        (tmp_path / "dist" / name).touch()
    return tmp_path


def test_a_release_that_is_ready_has_no_problems(ready):
    check = script("release_check")
    assert list(check.problems(ready, "v1.2.3")) == list(check.problems(ready, None)) == []
    assert check.notes(ready, "1.2.3").strip() == "- New."


@pytest.mark.parametrize(
    ("file", "right", "wrong", "says"),
    [
        ("pyproject.toml", '"1.2.3"', '"1.2.4"', "the tag is v1.2.3 and pyproject.toml says 1.2.4"),
        ("pyproject.toml", '"1.2.3"', '"1.2.4"', "there is no section '## 1.2.4"),
        ("pyproject.toml", '"1.2.3"', '"1.2.4"', "run make dist"),
        ("pyproject.toml", '"1.2.3"', '"one"', "one is no version"),
        ("pyproject.toml", '"1.2.3"', '"1.2.03"', "is written 1.2.3 in the names of files"),
        ("pyproject.toml", PUBLIC, REPOSITORY, "still the placeholder"),
        ("CHANGELOG.md", "## Unreleased\n", "## Unreleased\n\n- More.\n", "'Unreleased' holds changes"),
        ("CHANGELOG.md", "## 1.2.3 - 2026-01-31", "## 1.2.3", "there is no section '## 1.2.3"),
        ("CHANGELOG.md", "## Unreleased\n", "## Unreleased\n\n## 2.0.0 - 2026-02-01\n", "is not the newest"),
    ],
)
def test_what_is_missing_is_named(ready, file, right, wrong, says):
    text = (ready / file).read_text()
    assert right in text
    (ready / file).write_text(text.replace(right, wrong))
    assert any(says in line for line in script("release_check").problems(ready, "v1.2.3"))


def test_files_of_another_version_are_refused(ready):
    (ready / "dist" / "p-1.2.2.tar.gz").touch()
    (problem,) = script("release_check").problems(ready, "v1.2.3")
    assert "p-1.2.2.tar.gz" in problem


def test_this_checkout_names_what_a_release_still_lacks():
    """Until the address is public; then this test goes."""
    check = script("release_check")
    if check.PLACEHOLDER not in REPOSITORY:
        pytest.skip("the repository has its address")
    assert any(REPOSITORY in line for line in check.problems(ROOT, None))


def test_make_release_check_takes_a_tag():
    shown = subprocess.run(
        ["make", "-n", "release-check", "VENV=nowhere", "TAG=v9"], cwd=ROOT, capture_output=True, text=True
    )
    assert 'scripts/release_check.py ${TAG:+--tag "$TAG"}' in shown.stdout
