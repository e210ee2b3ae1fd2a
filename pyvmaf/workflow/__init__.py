"""What the Snakefile needs: configuration, plan, audit, repair."""

from __future__ import annotations
