# SPDX-License-Identifier: Apache-2.0
"""The studies that train policies, one a file, with what only they draw."""
