"""Why an image pull failed: what was said, layer by layer, and the causes that fit. Pure."""
