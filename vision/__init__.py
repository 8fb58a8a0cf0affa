"""Images of any size as quad-trees of visual gists."""
