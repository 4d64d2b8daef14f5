"""`make bench`: what a call costs, measured through the real server. docs/performance.md says how.

It prints figures and judges nothing but itself: a run that the load generator limited is void.
"""
