"""`hlu verify`: a real call on this host, against the units that run here, while what manages them is killed.

    programme   what was asked: who talks where, and what happens meanwhile       pure
    report      what became of it: figures, the sentence, whether it went well    pure
    timeline    the same as a drawing (SVG)                                       pure
    host        the units of this host: whether they run, who is in calls, seats
    daemons     control plane and hero_proc: killed, and started again
    wishes_kept the user's media.toml: changed for an upgrade, put back to the byte
    damage      does one stage of the programme
    run         baseline, stages, tail, report; and everything is cleaned up

What is measured, and how, is the business of `calls`; its libraries are an extra, so this package is imported late.
"""
