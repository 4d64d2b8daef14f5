"""`ivr`: a self-hosted server that turns phone calls and messages into finished leads."""

__version__ = "0.1.0"
