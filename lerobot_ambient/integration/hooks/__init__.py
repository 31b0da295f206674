# SPDX-License-Identifier: Apache-2.0
"""How this package gets a word in: after an import of LeRobot's, and in the place of one of its functions."""
