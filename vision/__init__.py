"""Images of any size as quad-trees of visual gists.

``source`` reads pixels by region and level (``files`` from image files, which go to ``raster`` if they fit in memory,
to ``vips`` or ``deep_zoom_source`` if not; ``pdf`` from PDF pages), ``colour`` converts them to sRGB, ``tiles`` is the
geometry of the quad-tree, ``encoders`` turns patches into vectors, ``gists`` pools them (``gisters`` by name;
``gistnet`` is learned, ``net_gister`` puts any such network in its place), ``quadtree`` builds the rows of the tree,
``pages`` connects them to documents.
"""
