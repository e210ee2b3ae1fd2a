"""Family of models that map salient objects: networks that are trained on pictures and their masks."""
