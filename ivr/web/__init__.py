"""The JSON interface for machines; rules and queries are elsewhere."""
