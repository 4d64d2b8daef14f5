"""A phone call, from ring to transcript. Holds nothing itself."""
