# SPDX-License-Identifier: Apache-2.0
"""The cosine transform of chunks."""

import numpy as np
import pytest
import scipy.fft
import torch
from hypothesis import given
from hypothesis import strategies as st

from lerobot_ambient.annotate.chunks.cosines import cosine_transform, dct_matrix


@given(st.integers(4, 64))
def test_the_matrix_is_scipys_orthonormal_dct(horizon):
    assert np.allclose(dct_matrix(horizon), scipy.fft.dct(np.eye(horizon), type=2, norm="ortho", axis=0), atol=1e-12)


@pytest.mark.parametrize("horizon", [8, 16, 64])
def test_a_straight_line_leaks_less_than_promised(horizon):
    k = np.arange(1, horizon)
    leak = np.abs(dct_matrix(horizon) @ np.linspace(0, 1, horizon))[1:]
    assert (leak < np.sqrt(horizon) / (3 * k**2)).all()


def test_the_transform_of_chunks_is_the_same_rotation():
    x_0 = torch.randn(30, 7, 2, generator=torch.Generator().manual_seed(0))
    expected = scipy.fft.dct(x_0.double().numpy(), axis=1, norm="ortho")
    np.testing.assert_allclose(cosine_transform(x_0).numpy(), expected, atol=1e-5)
    torch.testing.assert_close(cosine_transform(x_0).square().sum(), x_0.square().sum())
