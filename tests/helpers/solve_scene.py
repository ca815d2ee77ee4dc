"""The size of the scene that tests of the solver share."""

HW = (18, 30)
IMAGES = 4
