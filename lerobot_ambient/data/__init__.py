# SPDX-License-Identifier: Apache-2.0
"""Sources, their logical merge, and the sampler that draws from it."""
