#!/usr/bin/env python3
"""The leads that were delivered: [--since 24h|7d] [--channel voice] [--export csv|json]."""

from ivr.cli.leads import succeeded_app

if __name__ == "__main__":
    succeeded_app(prog_name="view_succeeded_leads.py")
