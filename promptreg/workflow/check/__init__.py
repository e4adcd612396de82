"""Check: a change against what it changes, judged by gates. Each module is one step of the way, in the order of `check.check`."""
