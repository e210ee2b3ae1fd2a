"""Terms of datasets: shown once, accepted by the user, and recorded."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from pyvmaf.base.files import sha256_bytes, write_json
from pyvmaf.corpora.fetched import LICENCE_ACCEPTED, LicenceAccepted
from pyvmaf.corpora.spec import Corpus
from pyvmaf.errors import InputError, IntegrityError, MissingFileError

Ask = Callable[[str], bool]


def accept_licence(
    corpus: Corpus, terms: str, root: Path, *, accepted: bool, say: Callable[[str], None], ask: Ask | None
) -> str:
    """Show the terms of a dataset, unless they were accepted before, and record that the user accepts them.

    Args:
        corpus: the dataset.
        terms: its terms.
        root: the folder of the dataset, where the acceptance is recorded.
        accepted: the user accepts the terms by an option.
        say: shows a line.
        ask: asks the user on a terminal; None if there is none.

    Returns:
        SHA-256 of the terms.

    Raises:
        InputError: the terms are not accepted.
    """
    text = f"{corpus.license}\n{terms}"
    digest = sha256_bytes(text.encode())
    record = root / LICENCE_ACCEPTED
    if _recorded(record, digest):
        return digest
    say(f"{corpus.name}: {corpus.license}")
    say(terms)
    if not accepted:
        if ask is None:
            raise InputError(
                f"the terms of {corpus.name} ({corpus.license}) are not accepted yet: read them above and add "
                "--accept-licence; nothing was fetched"
            )
        if not ask(f"Do you accept the terms of {corpus.name}?"):
            raise InputError(f"the terms of {corpus.name} ({corpus.license}) were not accepted: nothing was fetched")
    document = LicenceAccepted(
        dataset=corpus.name,
        license=corpus.license,
        terms=terms,
        terms_sha256=digest,
        by="option" if accepted else "terminal",
    )
    # At once: whoever interrupts the download has accepted all the same.
    write_json(record, document.as_json(), at_once=True)
    return digest


def _recorded(record: Path, digest: str) -> bool:
    try:
        return LicenceAccepted.read(record).terms_sha256 == digest
    except (MissingFileError, IntegrityError):
        return False
