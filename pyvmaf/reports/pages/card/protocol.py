"""Section: training and cross-validation."""

from __future__ import annotations

from pyvmaf.reports.elements import Section, facts, paragraph, text
from pyvmaf.reports.pages.card.card import Card


def section(card: Card) -> Section:
    """Show split, folds, seeds and optimiser."""
    loso = card.loso
    protocol = loso.split.protocol.replace("_", " ")
    values = [
        ("split", text(f"{protocol}, by {card.by}: all rows of a {card.by} are on the same side of a fold")),
        ("folds", text(f"{loso.n_folds:,}")),
        ("seeds", text(", ".join(map(str, card.model.seeds)))),
        ("epochs", text(f"{loso.epochs:,}")),
        ("batch size", text(f"{loso.batch_size:,}")),
        ("learning rate", text(f"{loso.lr:g}")),
        ("weight decay", text(f"{loso.weight_decay:g}")),
    ]
    values += [
        (f"split: {key.replace('_', ' ')}", text(value))
        for key, value in sorted(loso.split.model_dump(mode="json").items())
        if key not in ("by", "protocol")
    ]
    about = paragraph(
        "Weights, scaler and guard of a fold are fitted to the fold's own training rows. The exported file was trained on "
        "all rows; the figures below are those of the folds, on their held-out rows."
    )
    return Section("protocol", "Training", (facts("Training and cross-validation", values), about))
