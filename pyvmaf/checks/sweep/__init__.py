"""The verb ``analyze-sweep``: `sweep.analyze_sweep`."""
