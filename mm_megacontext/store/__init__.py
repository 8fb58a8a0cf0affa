import os

os.environ.setdefault("LANCE_LOG", "error")  # read when Lance is imported; it warns of things that users cannot change
