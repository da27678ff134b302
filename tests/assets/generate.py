"""`make assets`: writes the catalogue's files."""

from pathlib import Path

from assets.catalogue import CATALOGUE

FOLDER = Path(__file__).parent

if __name__ == "__main__":
    for name, (content, _) in CATALOGUE.items():
        (FOLDER / name).write_bytes(content)
