"""Build the documentation site: run the tutorials for the gallery, make the pages of the reference, build, check every link.

MkDocs comes from the pinned packages of ``requirements/docs.txt``, into ``.cache/docs``, beside the installed ones; the site is
``build/docs``, and opens from the disk without a network.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from docs.site.check import check

REPOSITORY = Path(__file__).parents[2]
LOCK = REPOSITORY / "requirements" / "docs.txt"
PACKAGES = REPOSITORY / ".cache" / "docs"


def install() -> Path:
    """Install the packages of the lock, unless they are there; return their folder."""
    stamp = PACKAGES / "stamp"
    wanted = hashlib.sha256(LOCK.read_bytes()).hexdigest()
    if not stamp.is_file() or stamp.read_text() != wanted:
        print("docs: installing MkDocs Material (14 MB)", file=sys.stderr)
        shutil.rmtree(PACKAGES, ignore_errors=True)
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "--no-deps", "--require-hashes", "--target", PACKAGES, "-r", LOCK], check=True)
        stamp.write_text(wanted)
    return PACKAGES


def build(site: Path, gallery: Path, *, config: Path = REPOSITORY / "mkdocs.yml") -> str:
    """Build a site; return what MkDocs printed.

    Args:
        site: its folder, which is replaced.
        gallery: pages that `docs.site.gallery.collect` left.
        config: the configuration of MkDocs.

    Raises:
        subprocess.CalledProcessError: MkDocs found a fault, such as a link that leads nowhere.
    """
    variables = {
        **os.environ,
        # The packages of this environment come first: those of the lock are beside them.
        "PYTHONPATH": os.pathsep.join((str(REPOSITORY), str(PACKAGES))),
        "PYVMAF_GALLERY": str(gallery),
        "NO_MKDOCS_2_WARNING": "1",
    }
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--clean", "-f", str(config), "-d", str(site)]
    done = subprocess.run(command, env=variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        print(done.stdout, file=sys.stderr)
        done.check_returncode()
    return done.stdout


def main() -> int:
    """Build and check the site, and print its figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--output", type=Path, default=REPOSITORY / "build" / "docs", help="folder of the site")
    arguments = parser.parse_args()
    from docs.site.gallery import collect, run

    gallery = REPOSITORY / "build" / "gallery"
    try:
        install()
        with tempfile.TemporaryDirectory() as folder:
            collect(Path(folder), run(Path(folder)), gallery)
        build(arguments.output, gallery)
    except subprocess.CalledProcessError as error:
        command = " ".join(map(str, error.cmd[:5]))
        print(f"docs: `{command} …` ended with status {error.returncode}", file=sys.stderr)
        return 1
    checked = check(arguments.output)
    for problem in checked.problems:
        print(f"docs: {problem}", file=sys.stderr)
    print(
        f"{arguments.output / 'index.html'}: {checked.pages} pages, {checked.links} links, {len(checked.problems)} broken"
    )
    return 1 if checked.problems else 0


if __name__ == "__main__":
    sys.exit(main())
