"""The report of an evaluation: tables in the papers' form, and pictures."""
