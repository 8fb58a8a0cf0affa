"""Workbooks as flows: cells as they are shown."""
