"""The run folder: files, shards, ledgers, and the engines that make them."""
