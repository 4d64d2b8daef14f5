"""Who the people are that reach us, and what each of them wants: one contact, one open lead."""
