"""The sentence of the house as code. It receives the world as one value and returns reports; it prints nothing.

Each file is imported by whoever does what it says: a command that lists prompts does not load what runs them.
"""
