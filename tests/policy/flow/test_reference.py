# SPDX-License-Identifier: Apache-2.0
"""docs/reference/policies.md says of each family what the code does."""

import re
import tomllib
from importlib import metadata
from pathlib import Path

from lerobot.configs import PreTrainedConfig

from lerobot_ambient.policy.flow.families import FAMILIES
from lerobot_ambient.policy.flow.refused import why_not
from lerobot_ambient.policy.options.mixture_options import ambient_types

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs/reference/policies.md").read_text(encoding="utf-8")
ROWS = {
    cells[0].strip("`"): cells
    for line in PAGE.splitlines()
    if line.startswith("| `ambient_") and len(cells := [cell.strip() for cell in line.strip("|").split("|")]) == 8
}


def test_every_type_has_a_row_that_says_what_it_serves():
    assert sorted(ROWS) == ambient_types()
    for name, family in FAMILIES.items():
        _, extra, law, pair, dimensions, cameras, _, _ = ROWS[f"ambient_{name}"]
        assert extra == f"`{family.extra}`"
        assert (pair == "yes") == family.takes_pair
        assert (dimensions == "no loss") == family.masks_dimensions
        assert (cameras == "masked") == family.masks_cameras
        assert law


def test_every_extra_is_one_of_the_distribution_and_of_lerobots():
    ours = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    theirs = {extra.replace("-", "_") for extra in metadata.metadata("lerobot").get_all("Provides-Extra")}
    wanted = {family.extra for family in FAMILIES.values()}
    assert wanted <= set(ours)
    assert wanted <= theirs


def test_every_other_policy_of_lerobots_is_refused_with_its_reason():
    served = {name.removeprefix("ambient_") for name in ambient_types()}
    others = set(PreTrainedConfig.get_known_choices()) - served - set(ambient_types())
    listed = set(re.findall(r"`(\w+)`", PAGE[PAGE.index("## Policies without") :]))
    theirs = {name for name in others if PreTrainedConfig.get_choice_class(name).__module__.startswith("lerobot.")}
    assert theirs == listed
    for name in theirs:
        assert "does not know where" not in why_not(name)
