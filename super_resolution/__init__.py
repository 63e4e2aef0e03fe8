"""Applies a network to images. In a script of your own:

    from PIL import Image
    from super_resolution import load
    super_resolve = load("wdsr-b-8-x4")  # or a file, or nothing: the shipped model
    super_resolve.enlarge(Image.open("photo.png")).save("photo-sr.png")
"""

__all__ = ["SuperResolver", "load"]


def __getattr__(name):
    """Imports what is asked for when it is asked for: Keras is slow to load, and its backend is chosen before that."""
    if name == "load":
        from super_resolution.loading import load

        return load
    if name == "SuperResolver":
        from super_resolution.resolver import SuperResolver

        return SuperResolver
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
