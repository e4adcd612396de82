"""One format per file for what rot says: a RotReport in, text out. `matrix` is what they all show: prompts × models."""
