"""Access to nodes: read and write their trust files, and read their registry configuration."""
