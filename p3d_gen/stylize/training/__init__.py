"""Training of a small ControlNet stylizer from pairs of renders: prior noise gives the edges, realism the picture."""
