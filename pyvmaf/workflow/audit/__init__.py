"""What the next run would do and why, and what no run would notice: ``vmaf-train audit``."""
