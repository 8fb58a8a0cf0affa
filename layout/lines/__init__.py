"""Words to lines: segments, and the direction in which they are read."""
