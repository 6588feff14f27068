"""Write what the pages load but nobody writes by hand: subset fonts, the colour tokens, the live figures' script."""

from __future__ import annotations

import hashlib
import shutil
from importlib import metadata
from pathlib import Path

# Latin and its accents, Greek, dashes, quotes, super- and subscripts, ℓ and the like, arrows, operators, shapes, ⟨ ⟩.
UNICODES = "U+0020-007E,U+00A0-017F,U+0370-03FF,U+2010-205E,U+2070-209F,U+20AC,U+2100-214F,U+2190-21FF,U+2200-22FF"
UNICODES += ",U+25A0-25FF,U+2713,U+2717,U+27E8-27E9"
FONTS = {
    "source-serif-pro-400": ("font_source_serif_pro", "SourceSerifPro-Regular.ttf"),
    "source-serif-pro-400-italic": ("font_source_serif_pro", "SourceSerifPro-It.ttf"),
    "source-serif-pro-600": ("font_source_serif_pro", "SourceSerifPro-Semibold.ttf"),
    "source-sans-pro-400": ("font_source_sans_pro", "SourceSansPro-Regular.ttf"),
    "source-sans-pro-600": ("font_source_sans_pro", "SourceSansPro-Semibold.ttf"),
}


def write_if_new(path: Path, content: bytes) -> bool:
    """Write the file unless it holds just that already, so that its date means something; return whether it did."""
    if path.is_file() and path.read_bytes() == content:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return True


def font_source(package: str, name: str) -> Path:
    """Return the TrueType file of a font package without importing it."""
    for entry in metadata.files(package.replace("_", "-")) or ():
        if entry.name == name:
            return Path(str(entry.locate()))
    raise FileNotFoundError(f"the package {package} holds no {name}")


def subset_font(source: Path, target: Path) -> None:
    """Write the part of a font that the book uses as woff2."""
    from fontTools import subset

    options = subset.Options()
    options.flavor = "woff2"
    options.layout_features = ["*"]
    options.notdef_outline = True
    font = subset.load_font(str(source), options)
    subsetter = subset.Subsetter(options)
    subsetter.populate(unicodes=subset.parse_unicodes(UNICODES.replace("U+", "")))
    subsetter.subset(font)
    target.parent.mkdir(parents=True, exist_ok=True)
    subset.save_font(font, str(target), options)


def write_fonts(folder: Path, cache: Path) -> None:
    """Put the five subset fonts into `folder`; each is made once and kept in `cache`."""
    for name, (package, file) in FONTS.items():
        source = font_source(package, file)
        key = hashlib.sha256(source.read_bytes() + UNICODES.encode()).hexdigest()[:12]
        kept = cache / f"{name}-{key}.woff2"
        if not kept.is_file():
            unfinished = kept.with_suffix(".part")
            subset_font(source, unfinished)
            unfinished.replace(kept)
        write_if_new(folder / f"{name}.woff2", kept.read_bytes())


def write_generated(folder: Path, cache: Path) -> None:
    """Write fonts, tokens and the live figures' script into `folder` (the pages' `_static/generated`)."""
    from companion import look, widgets

    write_fonts(folder, cache / "fonts")
    write_if_new(folder / "tokens.css", look.css().encode())
    write_if_new(folder / "live_figures.js", widgets.bundle().encode())


def mirror(source: Path, target: Path) -> None:
    """Make the folder `target` equal to `source`, touching only files that differ."""
    ignored = {"__pycache__", ".ipynb_checkpoints", ".DS_Store", "generated"}
    wanted = set()
    for path in sorted(source.rglob("*")):
        relative = path.relative_to(source)
        if path.is_file() and not ignored & set(relative.parts):
            wanted.add(relative)
            write_if_new(target / relative, path.read_bytes())
    for path in sorted(target.rglob("*")):
        relative = path.relative_to(target)
        if path.is_file() and relative not in wanted and not ignored & set(relative.parts):
            path.unlink()
    for path in sorted(target.rglob("*"), reverse=True):
        if path.is_dir() and not any(path.iterdir()):
            shutil.rmtree(path)
