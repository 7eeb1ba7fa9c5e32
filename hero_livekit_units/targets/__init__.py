"""Targets: services that a hero_proc offers by itself, before any control plane has registered anything.

    specs     what a target is, and how to make one
    media     the program of our own: `python -m hero_livekit_units.targets.media` ensures the media
    unit      the program of any other: `python -m hero_livekit_units.targets.unit` writes the files of a unit

Both programs are actions of hero_proc, hence its clients: they ask on its socket and hold nothing.
"""
