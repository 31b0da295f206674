# SPDX-License-Identifier: Apache-2.0
"""The model card of a policy, and how it comes to the Hub with its picture."""
