# SPDX-License-Identifier: Apache-2.0
import pytest
import torch
from scipy import stats

from lerobot_ambient.core.time_laws import BetaTime, ShiftedTime

U = torch.cat([torch.linspace(0, 1, 2001, dtype=torch.float64), torch.logspace(-12, -3, 50, dtype=torch.float64)])


@pytest.mark.parametrize(("alpha", "beta"), [(1, 1), (1.5, 1), (1, 1.5), (3, 1), (2, 2), (1.5, 2.5), (1.5, 1.5)])
def test_the_beta_law_is_scipys(alpha, beta):
    law, theirs = BetaTime(alpha, beta), stats.beta(alpha, beta)
    s = torch.linspace(0, 1, 3001, dtype=torch.float64)
    torch.testing.assert_close(law.cdf(s), torch.from_numpy(theirs.cdf(s.numpy())), atol=2e-12, rtol=0)
    # Where the density is small a quantile is known less well than its probability.
    torch.testing.assert_close(law.cdf(law.quantile(U)), U, atol=2e-12, rtol=0)
    inner = U[(U > 1e-4) & (U < 1 - 1e-4)]
    torch.testing.assert_close(law.quantile(inner), torch.from_numpy(theirs.ppf(inner.numpy())), atol=1e-9, rtol=0)


def test_rare_exponents_are_served_less_exactly_and_smaller_ones_refused():
    law, theirs = BetaTime(0.75, 0.6), stats.beta(0.75, 0.6)
    s = torch.linspace(0, 1, 3001, dtype=torch.float64)
    torch.testing.assert_close(law.cdf(s), torch.from_numpy(theirs.cdf(s.numpy())), atol=2e-4, rtol=0)
    with pytest.raises(ValueError, match=r"Beta\(0.3, 2\) has alpha = 0.3"):
        BetaTime(0.3, 2)


def test_a_law_on_part_of_the_range():
    law = BetaTime(1.5, 1.0, low=0.001, high=1.0)
    assert law.quantile(torch.tensor([0.0, 1.0])).tolist() == pytest.approx([0.001, 1.0])
    assert law.cdf(torch.tensor([0.0, 0.001, 0.5005, 2.0])).tolist() == pytest.approx([0, 0, 0.5**1.5, 1])
    assert law.identity == "Beta(1.5, 1) on [0.001, 1]"
    assert BetaTime().identity == "uniform"
    with pytest.raises(ValueError, match=r"from 0.5 to 0.2"):
        BetaTime(low=0.5, high=0.2)


def test_the_shifted_law_inverts_itself():
    law = ShiftedTime(5.0)
    torch.testing.assert_close(law.cdf(law.quantile(U)), U, atol=1e-14, rtol=0)
    assert law.quantile(torch.tensor(0.5)).item() == pytest.approx(5 * 0.5 / (1 + 4 * 0.5))
    with pytest.raises(ValueError, match="got 0"):
        ShiftedTime(0.0)
