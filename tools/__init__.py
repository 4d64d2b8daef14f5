"""What stands around the product: emulated vendors, conversations as data, demo, benchmark."""
