"""Ctrl-C and its like: once, and not while everything is put back."""

from __future__ import annotations

import signal

import pytest

from hero_livekit_units.cli.verify import interrupted_once

SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


@pytest.mark.parametrize("number", SIGNALS)
def test_the_first_one_ends_the_work_and_the_others_do_not(
    number: signal.Signals, capfd: pytest.CaptureFixture[str]
) -> None:
    """Whoever presses again is told that it ends by itself; afterwards all is as before."""
    before = [signal.getsignal(one) for one in SIGNALS]
    with interrupted_once():
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(number)
        for other in SIGNALS:
            signal.raise_signal(other)
    assert capfd.readouterr().err.count("it is being cleaned up") == 3
    assert [signal.getsignal(one) for one in SIGNALS] == before


def test_none_does_once_it_is_cleaned_up() -> None:
    """Not even the first."""
    with interrupted_once() as no_more:
        no_more()
        signal.raise_signal(signal.SIGINT)
