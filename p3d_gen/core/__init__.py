"""Types, geometry, colour and codecs that every stage shares."""
