"""Plan to world, one step at a time: check what it needs, act, wait for what it is to bring about, record it.

`lock` lets one at a time act on a media group of this host, `files` writes atomically, `executor` does the steps.
"""
