# SPDX-License-Identifier: Apache-2.0
"""The offline judge: checkpoints on episodes that they have not seen, for those who have no simulator."""
