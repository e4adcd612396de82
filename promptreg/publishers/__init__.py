"""One destination per file: a finished comment in, one effect out. Publishers judge nothing and read no report."""
