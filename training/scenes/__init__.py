"""Random scenes for training: which occur, and how often."""

from training.scenes.domain import sample_scene

__all__ = ["sample_scene"]
