"""Metrics: one idea of quality per file. An Answer goes in, a Score in [0, 1] comes out, 1 is good; nothing here asks a model."""
