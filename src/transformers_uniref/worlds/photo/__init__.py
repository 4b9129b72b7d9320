"""Scenes of real objects: cut out of annotated clips and moved over other frames."""
