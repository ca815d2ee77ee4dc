"""Stage 1: Blender renders resolved samples, and their labels are checked."""
