"""The tags of EXIF and TIFF that tell how an image is shown."""

ORIENTATION, X_RESOLUTION, Y_RESOLUTION, RESOLUTION_UNIT = 274, 282, 283, 296
# What tells of the photo: texts such as description, camera, software, date, artist and copyright; EXIF and GPS.
TOLD = (269, 270, 271, 272, 305, 306, 315, 316, 18246, 33432, *range(40091, 40096), 34665, 34853)
MAX_RESOLUTION = 1e6  # dpi; more than that is damage
UNITS = {2: 1.0, 3: 2.54}  # inch and centimetre: dots of the unit to dots per inch


def resolution_in(tags):
    """Returns the resolution that the tags tell, (x, y) in dpi, or None."""
    unit = UNITS.get(tags.get(RESOLUTION_UNIT) or 2)
    try:
        return sound_resolution([float(tags[tag]) * unit for tag in (X_RESOLUTION, Y_RESOLUTION)])
    except (KeyError, TypeError, ValueError, ArithmeticError):
        return None


def sound_resolution(resolution):
    """Returns a resolution as a pair of floats, or None where there is none or it makes no sense."""
    if resolution and all(0 < value < MAX_RESOLUTION for value in resolution):
        return tuple(float(value) for value in resolution)
    return None
