"""`trustplane check`: findings about certificates, lists and manifests before they are applied."""
