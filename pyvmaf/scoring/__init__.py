"""Scores of pairs of videos, by models of libvmaf and of this project."""
