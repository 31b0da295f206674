# SPDX-License-Identifier: Apache-2.0
"""Stock commands as resumable stages, how far they are, and what lerobot-eval left, as numbers with intervals."""
