"""The recipe of the bundled model: scenes and their captions, the networks, and their training.

Its parts are run from the repository's root, as `python -m training.make_dataset`. What it needs
besides the server is in requirements.txt; nothing of it is installed with the package.
"""
