# SPDX-License-Identifier: Apache-2.0
"""Motion planning through a maze: few smooth paths and many jagged ones."""
