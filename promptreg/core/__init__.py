"""The heart: values in, values out. Nothing in here opens, prints, waits, or knows the time, the environment, chance or Git."""
