# SPDX-License-Identifier: Apache-2.0
"""Of fifty datasets with the same flaw two are told in full, the others by name, in an order that no thread decides."""

import logging

import pytest

from lerobot_ambient.data.reading.alike_warnings import alike_together

LOGGER = logging.getLogger("lerobot_ambient.data.reading.somewhere")


def complain(names):
    for name in names:
        LOGGER.warning("'%s': its timestamps advance at %.1f Hz, meta/info.json says fps %d.", name, 9.9, len(name))


def test_alike_messages_are_told_together(caplog):
    with alike_together(many=True):
        complain(["me/d", "me/b", "me/a", "me/c"])
        LOGGER.warning("'me/b': another thing")
        assert caplog.messages == []
    assert [message for message in caplog.messages if "timestamps" in message or "more" in message] == [
        "'me/a': its timestamps advance at 9.9 Hz, meta/info.json says fps 4.",
        "'me/b': its timestamps advance at 9.9 Hz, meta/info.json says fps 4.",
        "... 2 more messages like this one: 'me/c', 'me/d'",
    ]
    assert "'me/b': another thing" in caplog.messages
    assert {record.levelno for record in caplog.records} == {logging.WARNING}


def test_few_are_told_as_they_come(caplog):
    with alike_together(many=False):
        complain(["me/d", "me/b", "me/a"])
        assert len(caplog.messages) == 3
    assert caplog.messages[0].startswith("'me/d'") and len(caplog.messages) == 3


def test_a_refusal_loses_no_message_and_logging_goes_on(caplog):
    def refused():
        complain(["me/a"])
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"), alike_together(many=True):
        refused()
    LOGGER.warning("later")
    assert [message[:6] for message in caplog.messages] == ["'me/a'", "later"]


def test_many_names_are_counted(caplog):
    with alike_together(many=True):
        complain([f"me/{number:02d}" for number in range(20)])
    assert caplog.messages[-1].startswith("... 18 more messages like this one: 'me/02', ")
    assert caplog.messages[-1].endswith("'me/13' and 6 more")
