# SPDX-License-Identifier: Apache-2.0
"""gym-aloha's cube transfer: a scripted demonstrator in two qualities, and its datasets."""
