"""Written messages: rows, consent, lengths, and the outbox that sends them."""
