"""Writing colour profiles: ICC.1, version 4, of RGB with three primaries and one curve."""

import struct

import numpy as np

D50 = (0.9642, 1.0, 0.8249)  # the white of profiles
BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
SRGB_CURVE = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
VERSION = 0x04300000


def matrix_profile(name, chromaticities, gamma=None):
    """Returns a profile, or None where the chromaticities can be no primaries.

    Args:
        name: text in ASCII.
        chromaticities: x and y of white, red, green and blue.
        gamma: exponent from values to light; None: sRGB's curve.
    """
    columns, adaptation = _columns(chromaticities)
    if columns is None:
        return None
    curve = (struct.pack(">4sIHH", b"para", 0, 3, 0) + _fixed(SRGB_CURVE) if gamma is None else
             struct.pack(">4sIHH", b"para", 0, 0, 0) + _fixed([gamma]))
    tags = {b"desc": _text(name), b"cprt": _text("No copyright"), b"wtpt": _xyz(D50),
            b"chad": b"sf32\0\0\0\0" + _fixed(adaptation.ravel()),
            **{key: _xyz(column) for key, column in zip((b"rXYZ", b"gXYZ", b"bXYZ"), columns.T, strict=True)},
            b"rTRC": curve, b"gTRC": curve, b"bTRC": curve}
    table, data, start = b"", b"", 128 + 4 + 12 * len(tags)
    for key, content in tags.items():
        table += struct.pack(">4sII", key, start + len(data), len(content))
        data += content + bytes(-len(content) % 4)
    size = start + len(data)
    header = struct.pack(">I4xI4s4s4s6H4s28x", size, VERSION, b"mntr", b"RGB ", b"XYZ ", 2000, 1, 1, 0, 0, 0, b"acsp")
    return (header + _fixed(D50)).ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + data


def _columns(chromaticities):
    """Returns the primaries' XYZ in columns, adapted to D50, and the matrix that adapts; None where there are none."""
    points = np.array(chromaticities, float).reshape(4, 2)
    if not (points[:, 1] > 1e-4).all():
        return None, None
    white, *primaries = np.column_stack([points[:, 0], points[:, 1], 1 - points.sum(axis=1)]) / points[:, 1:]
    matrix = np.array(primaries).T
    if abs(np.linalg.det(matrix)) < 1e-6:
        return None, None
    cones, target = BRADFORD @ white, BRADFORD @ D50
    adaptation = np.linalg.inv(BRADFORD) @ np.diag(target / cones) @ BRADFORD
    columns = adaptation @ (matrix * np.linalg.solve(matrix, white))
    is_sound = np.isfinite(columns).all() and np.abs(columns).max() < 100 and np.abs(adaptation).max() < 100
    return (columns, adaptation) if is_sound else (None, None)


def _fixed(numbers):
    return b"".join(struct.pack(">i", round(float(number) * 65536)) for number in numbers)


def _xyz(numbers):
    return b"XYZ \0\0\0\0" + _fixed(numbers)


def _text(text):
    content = text.encode("utf-16-be")
    return struct.pack(">4sIII2s2sII", b"mluc", 0, 1, 12, b"en", b"US", len(content), 28) + content
