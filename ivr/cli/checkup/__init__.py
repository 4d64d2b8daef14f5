"""The examinations of `ivr doctor`: what is in the house, and the neighbours it depends on."""
