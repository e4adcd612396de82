"""A History as text: time lines with what changed and what moved there."""
