"""A finished lead on its way to the target, and what becomes of it there."""
