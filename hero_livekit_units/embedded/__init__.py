"""A hero_proc for machines without one: it owns the processes, whoever asks for them comes and goes.

    methods ──▶ supervisor ──▶ jobs ──▶ children      daemon puts them together
    wire        services and   one      fork, pidfd,  store keeps what must outlive a crash
                dependencies   process  /proc         plugins has the loader run, and registers targets
                                                      lifecycle, restart, spec, units: pure

It speaks hero_proc's words: an *action* is the stored spec of one thing to execute, a *service* names actions to keep
alive, a *run* is one start of a service, a *job* is one action in one run.

It obeys and never decides: it does not know what a call is, and a failed health check makes it restart nothing.
"""
