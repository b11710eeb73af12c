"""The commands of the terminal, one module each: they parse and print, and have no logic.

Whatever is slow to import is imported inside a command, so that `daguerre --help` is quick.
"""
