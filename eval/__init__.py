"""Measures: tasks, baselines and metrics, run by ``mmctx eval``."""
