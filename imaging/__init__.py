"""Image files in and out, and MATLAB's resizing."""
