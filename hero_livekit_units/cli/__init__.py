"""`hlu`: the command line.

main      composition root: arguments → command → exit code
quick     `hlu status` where a control plane runs, which must cost next to nothing
commands  one function a verb: status, plan, ensure, configure, stop, install
catalog   what the definitions say: units, show, path
settings  the user's media.toml: set, unset, config
secret    keys and passwords: secret status, rotate, set
verify    a real call, measured while what manages it is killed
daemons   `hlu hero-proc ...` and `hlu plane`
output    what every command has in common
render    plain data → text (pure)
progress  long work shown on a terminal, or line by line where there is none
"""
