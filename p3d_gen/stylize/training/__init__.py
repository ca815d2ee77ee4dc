"""Training of a small ControlNet stylizer from pairs of renders: one with prior noise, and a realistic one."""
