# SPDX-License-Identifier: Apache-2.0
"""What a user declares: sources, how they differ from the target, and what a mixture is beside its datasets."""
