"""Applies a network to images. In a script of your own:

    from PIL import Image
    from super_resolution import load
    super_resolve = load("wdsr-b-8-x4")  # or a file, or nothing: the shipped model
    super_resolve.enlarge(Image.open("photo.png")).save("photo-sr.png")
"""

from super_resolution.loading import load
from super_resolution.resolver import SuperResolver

__all__ = ["SuperResolver", "load"]
