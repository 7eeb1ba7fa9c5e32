"""Where units are registered: one port, and the supervisors behind it.

`port` says what the rest of the package needs of a supervisor; `wire` is the vocabulary of hero_proc (service, action),
which is spoken nowhere else; `hero_proc` is the client. `zinit`, `zinit_wire`, `zinit_client` and `zinit_store` are the
same for zinit 0.3.9; `choice` says which of them a socket belongs to.
"""
