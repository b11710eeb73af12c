"""Scenes of flat vector illustration: what can be in them, and how they are drawn at any size.

`Scene` is plain data; `compose` turns one into an SVG document and `render` into pixels. Nothing
here chooses what a scene shows: the network does when serving, `training.scenes` when training.
"""

from daguerre.models.embedded.drawing.picture import compose, render
from daguerre.models.embedded.drawing.scene import SHAPES, Scene, SceneObject

__all__ = ["SHAPES", "SceneObject", "Scene", "compose", "render"]
