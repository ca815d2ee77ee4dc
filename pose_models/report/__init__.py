"""What an evaluation looks like: tables in the papers' form, and pictures."""
