"""One format per file: a Report in, text out. Reporters judge nothing, write nothing, and trust no text of the report."""
