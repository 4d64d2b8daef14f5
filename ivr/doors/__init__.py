"""What every door shares: who may come in, how a request is read, how an error is answered."""
