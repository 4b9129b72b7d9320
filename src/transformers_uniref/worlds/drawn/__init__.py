"""Scenes that are drawn: shapes with colours, textures and places, known to the pixel."""
