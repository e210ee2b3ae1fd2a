"""Questions that one asks of finished models by hand: no rule calls these verbs, and editing them replans nothing."""
