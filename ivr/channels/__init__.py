"""Every door but the telephone: each verifies and translates; `desk` is where they lead."""
