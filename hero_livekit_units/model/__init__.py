"""The vocabulary of the package: frozen values that everything else takes and returns.

Nothing here does I/O or imports anything of ours. Every sequence is a tuple and every mapping a tuple of pairs or a
read-only view, so that a value never changes once it is made.
"""
