"""One client file per vendor: what several parts need of it. A vendor's file decides nothing."""
