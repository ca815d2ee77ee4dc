"""The manifest, and what it resolves to: every number of every sample."""
