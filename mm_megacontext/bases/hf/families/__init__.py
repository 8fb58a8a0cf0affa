"""Families of models of transformers whose vectors are read, and what differs between them."""
