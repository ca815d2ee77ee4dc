"""CAD models: list, check, convert and picture them."""
