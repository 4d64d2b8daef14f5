"""What the assistant says and may do, on any channel."""
