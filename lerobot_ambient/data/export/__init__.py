# SPDX-License-Identifier: Apache-2.0
"""What leaves a mixture: a dataset of its own, and the record in a checkpoint."""
