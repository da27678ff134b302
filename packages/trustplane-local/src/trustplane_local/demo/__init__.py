"""The end-to-end demo: a story on real clusters. Every claim is checked, and the first wrong one ends the demo."""
