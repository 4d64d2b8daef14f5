"""What models, minutes and messages cost, whose they were, and whether the budget still lasts."""
