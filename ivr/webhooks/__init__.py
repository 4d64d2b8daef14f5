"""What we tell others, signed (Standard Webhooks): an outbox, and its deliveries."""
