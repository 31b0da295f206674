# SPDX-License-Identifier: Apache-2.0
"""The warning that a source crowds the target out: at its bound, and only where nobody chose the share."""

import pytest
import torch

from lerobot_ambient.core.mixing import Ambient, Cotrain, Exclusive, Soft, TargetOnly
from lerobot_ambient.core.noise_levels import NoiseSchedule
from lerobot_ambient.core.plan import Group, make_plan
from lerobot_ambient.core.target_share import crowded_levels, crowded_out, repeated_few
from lerobot_ambient.core.windows import EVERYTHING, Window

SCHEDULE = NoiseSchedule(torch.tensor([0.1, 0.3, 0.5, 0.7, 0.9], dtype=torch.float64))


def told(mixing, samples_of_source: int, window=Window(0.4)) -> str | None:  # noqa: B008
    groups = [Group(0, "me/target", 1000, EVERYTHING), Group(1, "me/sim", samples_of_source, window)]
    shares = make_plan(groups, SCHEDULE, mixing).shares_by_source()
    return crowded_out(shares, SCHEDULE.sigmas, ["me/target", "me/sim"], mixing)


@pytest.mark.parametrize(("samples", "is_told"), [(8999, False), (9000, False), (9002, True), (50_000, True)])
def test_a_tenth_is_enough_and_less_is_not(samples, is_told):
    assert (told(Ambient(None), samples) is not None) == is_told
    assert (told(Cotrain(), samples) is not None) == is_told


def test_it_names_levels_share_and_the_line_to_write():
    text = told(Ambient(None), 49_000)
    assert text is not None
    for expected in (
        "'me/target' has less than a tenth of the draws at 3 of 5 noise levels (sigma 0.50 to 0.90), 2.0 % at the",
        "'me/sim' is large",
        """--policy.mixing='{"type": "ambient", "alpha": 0.5}'""",
        "`mixing: {type: ambient, alpha: 0.5}`",
    ):
        assert expected in text
    assert "{type: cotrain, alpha: 0.5}" in (told(Cotrain(), 49_000) or "")


@pytest.mark.parametrize(
    "mixing", [Ambient(0.05), Cotrain(0.05), Exclusive(), Soft.linear(1.0, 0.01), TargetOnly(), Ambient(0.5)]
)
def test_a_share_that_was_chosen_is_no_surprise(mixing):
    assert told(mixing, 49_000) is None


def test_where_no_source_teaches_the_target_is_not_crowded():
    shares = torch.tensor([[1.0, 0.05, 0.0, 0.1], [0.0, 0.95, 0.0, 0.9]], dtype=torch.float64)
    assert crowded_levels(shares).tolist() == [False, True, False, False]


def fine(counts: dict[float, int], mixing) -> str | None:
    """A source whose chunks have windows of their own: sigma_min to how many."""
    windows = [Group(1, "me/sim", count, Window(sigma_min)) for sigma_min, count in counts.items()]
    plan = make_plan([Group(0, "me/target", 1000, EVERYTHING), *windows], SCHEDULE, mixing)
    return repeated_few(plan, ["me/target", "me/sim"], mixing)


@pytest.mark.parametrize(("few", "is_told"), [(900, True), (999, True), (1000, False), (1001, False)])
def test_few_chunks_at_a_level_are_told_of_beyond_ten_repeats(few, is_told):
    """Of 10 000 chunks, `few` are admitted below sigma 0.4: each drawn 10 000 / few times as often there."""
    assert (fine({0.2: few, 0.4: 10_000 - few}, Ambient(0.5)) is not None) == is_told


def test_it_names_the_chunks_how_often_and_the_lines_to_write():
    text = fine({0.2: 100, 0.4: 9_900}, Ambient(0.8))
    assert text is not None
    for expected in (
        "alpha 0.8 gives 100 samples of 'me/sim'",
        "100 times as many draws there as where 10000 are admitted (sigma 0.30 to 0.30)",
        """--policy.mixing='{"type": "ambient", "alpha": null}', and weight: 0.025 on the source""",
        "leaves the target 80 %",
    ):
        assert expected in text


def test_the_weight_it_names_keeps_the_share():
    weighted = Group(1, "me/sim", 10_000, Window(0.4), weight=0.025)
    shares = make_plan([Group(0, "me/target", 1000, EVERYTHING), weighted], SCHEDULE, Ambient(None)).shares_by_source()
    torch.testing.assert_close(shares[0, -1], torch.tensor(0.8, dtype=torch.float64))


@pytest.mark.parametrize("mixing", [Ambient(None), Soft.linear(1.0, 0.2), Exclusive()])
def test_rules_without_a_fixed_share_are_not_asked(mixing):
    assert fine({0.2: 1, 0.4: 9_999}, mixing) is None
