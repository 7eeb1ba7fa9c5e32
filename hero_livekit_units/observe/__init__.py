"""What is really there: the world as values, each verdict with its evidence.

    kernel   processes by /proc            ┐
    ports    who holds a port              │
    stranger who it is that is not ours    │
    probes   what the program itself says  ├──▶ observer (asks all, one deadline) ──▶ verdict (pure) ──▶ Observed
    files    what lies in the folders      │
    registry the supervisor's word         ┘

Nothing here changes anything.
"""
