"""The embedded assets (CC0-1.0: textures and a small stylizer), and the code that makes shapes and textures."""
