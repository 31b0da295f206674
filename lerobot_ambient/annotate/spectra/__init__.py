# SPDX-License-Identifier: Apache-2.0
"""Power spectra of chunks: where two datasets part, and the level that buries it."""
