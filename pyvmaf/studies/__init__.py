"""Studies that one runs by hand to choose a model: no rule calls these verbs, and editing them replans nothing."""
