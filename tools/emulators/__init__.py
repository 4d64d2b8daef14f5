"""Small real servers that speak the vendors' protocols strictly and can be told to misbehave."""
