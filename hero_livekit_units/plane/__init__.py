"""The control plane: the functions of the library as a Hero service. It holds no child, no handle and no file.

Kill it at any moment: nothing is lost and nothing restarts, and the next one gives the same answers.
"""
