"""``python -m pyvmaf`` is ``vmaf-train``."""

from __future__ import annotations

from pyvmaf.cli import main

if __name__ == "__main__":
    main()
