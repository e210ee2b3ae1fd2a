"""Models that look at pictures: no-reference scores, and filters that restore pictures (kind ``image``)."""
