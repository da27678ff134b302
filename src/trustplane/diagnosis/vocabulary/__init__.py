"""The phrases that an innermost layer can contain, by kind of layer, with the causes that fit each."""
