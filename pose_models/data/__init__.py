"""Labelled images from shards and folders, as one sample type and one batch type."""
