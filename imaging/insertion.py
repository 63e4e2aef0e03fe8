"""Putting bytes into a file that a library has written."""

BLOCK = 1 << 22  # bytes that are moved at once


def insert(file, position, data):
    """Puts bytes at a position of a file that is open for reading and writing; what follows moves on."""
    end = file.seek(0, 2)
    while end > position:
        start = max(position, end - BLOCK)
        file.seek(start)
        block = file.read(end - start)
        file.seek(start + len(data))
        file.write(block)
        end = start
    file.seek(position)
    file.write(data)
