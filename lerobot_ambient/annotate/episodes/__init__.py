# SPDX-License-Identifier: Apache-2.0
"""Episodes of a source that stick out of it: how they are told, and what is said of them."""
