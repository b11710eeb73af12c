"""Scenes of flat vector illustration: their data, and drawing them at any size.

`Scene` is plain data. `compose` converts a scene to an SVG document, `render` to pixels. The
network chooses scenes when serving, `training.scenes` when training.
"""

from daguerre.models.embedded.drawing.picture import compose, render
from daguerre.models.embedded.drawing.scene import SHAPES, Scene, SceneObject

__all__ = ["SHAPES", "SceneObject", "Scene", "compose", "render"]
