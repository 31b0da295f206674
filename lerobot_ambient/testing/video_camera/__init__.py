# SPDX-License-Identifier: Apache-2.0
"""The camera type `video_file`: a video file in place of a camera, for LeRobot's own commands."""
