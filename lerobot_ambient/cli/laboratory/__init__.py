# SPDX-License-Identifier: Apache-2.0
"""The verbs of the laboratory: what rehearses, measures and reproduces."""
