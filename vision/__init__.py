"""Images of any size as quad-trees of visual gists.

``source`` reads pixels by region and level (``raster`` from image files, ``pdf`` from PDF pages), ``tiles`` is the
geometry of the quad-tree, ``encoders`` turns patches into vectors, ``gists`` pools them (``gisters`` by name;
``gistnet`` is learned, ``net_gister`` puts any such network in its place), ``quadtree`` builds the rows of the tree,
``pages`` connects them to documents.
"""
