"""What a business wants to know and the leads that come of it."""
