# SPDX-License-Identifier: Apache-2.0
"""What a checkpoint remembers of the data it was trained on."""
