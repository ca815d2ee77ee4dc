"""Stage 2: the edges of a render guide a diffusion model to a realistic picture with the same pose."""
