# SPDX-License-Identifier: Apache-2.0
"""What every ambient policy has: the tables of its mixture, checks at loading and in training, its time on a robot."""
