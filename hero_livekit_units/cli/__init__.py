"""`hlu`: the command line.

main      composition root: arguments → command → exit code
quick     `hlu status` where a control plane runs, which must cost next to nothing
commands  one function a verb
daemons   `hlu hero-proc ...` and `hlu plane`
render    plain data → text (pure)
progress  long work shown on a terminal, or line by line where there is none
"""
