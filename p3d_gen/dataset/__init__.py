"""Datasets for others: packed shards of finished runs, split, merged, shuffled, re-sharded, described, checked."""
