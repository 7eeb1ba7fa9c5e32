"""Loads the plugins of a hero_proc: `python -m hero_livekit_units.loader` prints what they contribute as one JSON.

    finding ──▶ apart ─────────▶ describe ──▶ gather
    installed   a process for    Units →      all of them; who is
    plugins     each of them     plain data   in whose way

It runs beside the daemon, not in it: a plugin may be broken in any way, and the daemon stays small. Each plugin is
called in a forked process of its own, within a deadline, so that none of them can end, hold up or change another.
"""
