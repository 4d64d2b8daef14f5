"""What stands around the product: emulators of the vendors, conversations as data, the demo, the benchmark."""
