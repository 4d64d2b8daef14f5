#!/usr/bin/env python3
"""The leads that were not delivered: list, show ID, retry ID, retry-all, resolve ID --note TEXT."""

from ivr.cli.leads import failed_app

if __name__ == "__main__":
    failed_app(prog_name="manage_failed_leads.py")
