"""The manifest, and its resolution into every number of every sample."""
