"""Measures what people in a call hear while the programs around it restart, crash and are upgraded.

Real participants, each a process of its own, join real rooms over WebRTC. Who speaks sends a signal that says what time
it is (`tone_clock`): a sine that hops to another tone every 40 ms. Who listens notes when the tone steps. Counting
audio frames would prove nothing: the receiver delivers one every 10 ms whatever happens and fills an outage with a
repeated or fading sound. That sound does not step. So the *content gap*, the time between two steps, is what a listener
misses; jitter buffers hide short outages from people, and so from the figure, which is a lower bound of the outage.

    tone_clock     the signal and its detector                          pure
    listening      the gaps of one participant, by stretch of the run   pure
    verdict        which calls were dropped, which interrupted          pure
    participant    one participant, a program: job and commands on stdin, events on stdout
    member         the parent's end of one such process
    call           starts participants, marks stretches, collects reports, ends everything
    network        whether this host lets participants connect at all
    extra          whether the optional libraries are installed

    with Call() as call:
        call.start(participants)       # returns when everyone hears everyone
        call.listen(5.0)               # undisturbed: the baseline
        call.mark("crash")             # whatever happens from here on is measured
        ...
        call.listen(SETTLE_S)
        verdict = judge(call.report())

A call is *dropped* when somebody in it is disconnected for good, hears nothing at the end or is no longer heard; it is
*interrupted* when somebody's content gap exceeds the longest undisturbed gap of the same run by more than 60 ms.

`livekit` and `numpy` come with the extra `hero-livekit-units[calls]`.
"""
