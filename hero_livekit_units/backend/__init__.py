"""The reference lk-backend: an HTTP service that makes the tokens with which people join rooms.

    settings ──▶ main ──▶ app ──▶ tokens   (pure: what may be asked, what a token says)
                            ├───▶ store    (SQLite: what was issued, never the token itself)
                            └───▶ rooms    (where a room is joined; nodes: with Redis)

It knows nothing of supervisors, slots or plans: it is one of the programs that they look after. Calls go on while it
is down; only new joins wait.
"""
