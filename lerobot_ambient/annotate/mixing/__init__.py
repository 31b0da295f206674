# SPDX-License-Identifier: Apache-2.0
"""What windows mix: the modes of the data at each level, and the shares of soft ambient from evidence."""
