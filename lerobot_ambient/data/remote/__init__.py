# SPDX-License-Identifier: Apache-2.0
"""Videos that stay on the Hub: read by ranges of bytes, in blocks that are kept on disk within a bound."""
