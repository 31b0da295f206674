# SPDX-License-Identifier: Apache-2.0
"""The distribution: what a wheel holds, and that LeRobot discovers the plugin, wheel and editable."""

import ast
import re
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from importlib import metadata
from pathlib import Path

import pytest

DISTRIBUTION = "lerobot_policy_ambient_diffusion"
PACKAGE = "lerobot_ambient"
IN_FOLDERS = {"rerun": "rerun-sdk"}
"""Modules that a wheel keeps in a folder of its own, which a .pth file names, so that no metadata lists them."""
OF_LEROBOTS_WHEELS = {"torchcodec"}
"""LeRobot asks for it where it has wheels, and both packages do without it elsewhere."""

BUILD = """
import sys
from hatchling import build
target, folder = sys.argv[1:]
print((build.build_wheel if target == "wheel" else build.build_editable)(folder))
"""

# -S keeps site from reading the environment's .pth files, so an editable install of this checkout cannot take
# the place of the build under test; the environment's other packages are then added by hand, behind it. The editable
# build is looked for by a process that has LeRobot loaded already, where the path alone is made such a one.
DISCOVER = """
import site, sys
built, *environment = sys.argv[1:]
sys.path[:] = [entry for entry in sys.path if entry.startswith(sys.base_prefix)]
site.addsitedir(built)
sys.path.extend(environment)
from lerobot.utils.import_utils import register_third_party_plugins
register_third_party_plugins()
from lerobot.configs.policies import PreTrainedConfig
import lerobot_ambient, lerobot_policy_ambient_diffusion
known = sorted(PreTrainedConfig.get_known_choices())
assert "ambient_diffusion" in known, known
print(PreTrainedConfig.get_choice_class("ambient_diffusion").__module__)
print(lerobot_ambient.__file__)
print(lerobot_policy_ambient_diffusion.__file__)
"""


@pytest.fixture(scope="module", params=["wheel", "editable"])
def built(request, tmp_path_factory, checkout) -> tuple[str, Path]:
    """Returns the kind of build, and a folder that holds what installing it would put into site-packages."""
    pytest.importorskip("hatchling", reason="the extra dev is needed to build the distribution")
    folder = tmp_path_factory.mktemp(request.param)
    command = [sys.executable, "-c", BUILD, request.param, str(folder)]
    done = subprocess.run(command, cwd=checkout, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    site = folder / "site"
    with zipfile.ZipFile(folder / done.stdout.split()[-1]) as archive:
        archive.extractall(site)
    return request.param, site


def test_the_shim_lies_at_the_top_beside_the_package(built, checkout):
    kind, site = built
    top = {path.name for path in site.iterdir() if path.suffix not in {".dist-info", ".pth"}}
    shim = Path(PACKAGE, "integration", "discovery", f"{DISTRIBUTION}.py")
    assert (site / f"{DISTRIBUTION}.py").read_bytes() == (checkout / shim).read_bytes()
    if kind == "editable":
        assert top == {f"{DISTRIBUTION}.py"}
        return
    assert top == {PACKAGE, f"{DISTRIBUTION}.py"}
    tracked = {path.relative_to(checkout) for path in (checkout / PACKAGE).rglob("*.py")}
    shipped = {path.relative_to(site) for path in (site / PACKAGE).rglob("*.py")}
    assert shipped == tracked - {shim}
    assert (site / PACKAGE / "py.typed").is_file()


def test_the_catalogue_is_part_of_the_wheel(built, checkout):
    kind, site = built
    if kind == "editable":
        return  # It is read where it lies.
    here, there = (folder / PACKAGE / "data/catalogue/entries" for folder in (checkout, site))
    names = [{path.relative_to(folder) for path in folder.rglob("*.yaml")} for folder in (here, there)]
    assert names[0] == names[1] != set()


def test_templates_and_other_files_are_part_of_the_wheel(built, checkout):
    kind, site = built
    if kind == "editable":
        return  # They are read where they lie.
    here, there = (
        {path.relative_to(root) for path in (root / PACKAGE).rglob("*") if path.is_file() and path.suffix[:3] != ".py"}
        for root in (checkout, site)
    )
    assert Path(PACKAGE, "annotate/report/report.html.j2") in there
    assert there == here


def test_name_and_version_are_those_of_pyproject(built, checkout):
    (info,) = built[1].glob("*.dist-info")
    found = metadata.Distribution.at(info).metadata
    project = tomllib.loads((checkout / "pyproject.toml").read_text())["project"]
    assert (found["Name"], found["Version"]) == (DISTRIBUTION, project["version"])


def test_the_version_is_written_once(checkout):
    """Code and command read it from what is installed."""
    version = tomllib.loads((checkout / "pyproject.toml").read_text())["project"]["version"]
    says = re.compile(rf"""version(__)?["']?\s*[:=]+\s*["']?{re.escape(version)}\b""")
    files = [*(checkout / PACKAGE).rglob("*.py"), checkout / "CITATION.cff", *(checkout / "scripts").iterdir()]
    assert [str(file) for file in files if file.is_file() and says.search(file.read_text(encoding="utf-8"))] == []
    assert says.search((checkout / "pyproject.toml").read_text())


def test_the_command_and_the_package_say_the_installed_version(capsys):
    import lerobot_ambient
    from lerobot_ambient.cli.__main__ import main

    with pytest.raises(SystemExit, match="0"):
        main(["--version"])
    installed = metadata.version(DISTRIBUTION)
    assert capsys.readouterr().out == f"lerobot-ambient {installed}\n"
    assert lerobot_ambient.__version__ == installed


def test_lerobot_discovers_the_policy(built, tmp_path, checkout, preloaded_python):
    kind, site = built
    environment = dict.fromkeys(sysconfig.get_path(name) for name in ("purelib", "platlib"))
    python = [sys.executable, "-S"] if kind == "wheel" else [preloaded_python]
    command = [*python, "-c", DISCOVER, str(site), *environment]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    config_module, package, shim = done.stdout.splitlines()[-3:]
    assert config_module == "lerobot_ambient.policy.diffusion.configuration_ambient_diffusion"
    assert Path(package) == (site if kind == "wheel" else checkout) / PACKAGE / "__init__.py"
    assert Path(shim) == site / f"{DISTRIBUTION}.py"


def test_every_direct_import_is_a_declared_dependency(checkout):
    project = tomllib.loads((checkout / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    ours = [texts for name, texts in extras.items() if name != "dev"]
    declared = {_name(text) for texts in [project["dependencies"], *ours] for text in texts}
    distributions = metadata.packages_distributions()
    undeclared = set()
    for path in (checkout / PACKAGE).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                modules = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
                modules = [node.module]
            else:
                continue
            for module in modules:
                top = module.partition(".")[0]
                if top == PACKAGE or top in sys.stdlib_module_names:
                    continue
                if top in OF_LEROBOTS_WHEELS:
                    continue
                if not declared & {_name(name) for name in distributions.get(top, [IN_FOLDERS.get(top, top)])}:
                    undeclared.add(f"{path.relative_to(checkout)}: {top}")
    assert sorted(undeclared) == []


def test_every_dependency_is_pinned(checkout):
    project = tomllib.loads((checkout / "pyproject.toml").read_text())["project"]
    lines = (checkout / "constraints.txt").read_text().splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert [pin for pin in pins if not re.fullmatch(r"[a-z0-9-]+==[0-9][0-9a-z.+]*", pin)] == []
    wanted = [
        *project["dependencies"],
        *(text for extra in project["optional-dependencies"].values() for text in extra),
    ]
    assert {_name(text) for text in wanted} <= {pin.partition("==")[0] for pin in pins}


def _name(requirement: str) -> str:
    """Returns the normalised distribution name that a requirement starts with."""
    found = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert found, requirement
    return re.sub(r"[-_.]+", "-", found[0]).lower()
