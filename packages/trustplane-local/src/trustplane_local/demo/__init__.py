"""The main job, told as a story on real clusters; it stops where reality differs from the story."""
