"""Slides as flows."""
