"""Chance: which scenes there are, and how often, for training. Nothing here draws or words them."""

from training.scenes.domain import sample_scene

__all__ = ["sample_scene"]
