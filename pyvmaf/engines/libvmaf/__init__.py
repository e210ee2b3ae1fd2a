"""libvmaf in process, with a guard in front of every trap that it has."""

from __future__ import annotations
