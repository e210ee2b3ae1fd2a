"""Foundations: files, identity of code, manifests, documents, paths."""

from __future__ import annotations
