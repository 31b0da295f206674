# SPDX-License-Identifier: Apache-2.0
"""One dataset opened: its numbers, and which of its episodes can be used."""
