"""Procedural scenes of flat vector illustration: what is in them, and how they are drawn.

`sample_scene` draws a scene, `compose` turns it into SVG and `render` into pixels. A scene knows
everything that a caption may say of its picture; nothing here knows captions, files or the model.
"""

from training.scenes.domain import sample_scene
from training.scenes.picture import compose, render
from training.scenes.scene import SHAPES, Placed, Scene

__all__ = ["SHAPES", "Placed", "Scene", "compose", "render", "sample_scene"]
