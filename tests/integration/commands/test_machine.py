# SPDX-License-Identifier: Apache-2.0
"""What a result was computed on."""

import os
import stat

import pytest

from lerobot_ambient.integration.commands.machine import machine


@pytest.fixture
def driver(tmp_path, monkeypatch):
    """A driver's tool that knows three cards."""
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho 'Card A'; echo 'Card B'; echo 'Card A'\n")
    tool.chmod(tool.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    machine.cache_clear()
    yield tool
    machine.cache_clear()


def test_cards_are_named_and_counted(driver, monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert f"{os.cpu_count()} cores, 2 x Card A, Card B, " in machine()


def test_cards_that_are_hidden_from_cuda_took_no_part(driver, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert "Card" not in machine()


def test_a_failing_driver_is_no_card(driver, monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    driver.write_text("#!/bin/sh\necho 'Card A'\nexit 9\n")
    assert "Card" not in machine()
