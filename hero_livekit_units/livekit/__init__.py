"""What only LiveKit needs: its settings and configuration, keys and tokens, counting calls, provisioning.

    media.toml ──▶ settings ──▶ desired ──▶ LaunchSpecs      keys, rotation   the secrets, and how one replaces another
                   strict       with the user's own keys     traits           what this host is like
                                by `config`                  counting         rooms and people
                                                             install, ...     programs: find, fetch, build
                                                             front            what HAProxy is told while it runs

Everything here knows LiveKit or the programs around it; nothing here decides what is to be done with them.
"""
