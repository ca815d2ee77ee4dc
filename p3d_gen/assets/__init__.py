"""Sources of shapes, textures and backgrounds, with defaults made by this package itself."""
