"""What waits for a person of the business: conversations, tasks, questions."""
