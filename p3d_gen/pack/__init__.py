"""Stage 3: composites on random backgrounds, in WebDataset shards."""
