"""Textual inversions of the catalog: its key `embeddings`. Loads no torch.

A textual inversion is one or more vectors of a text encoder, and the token that has them in
a prompt. `textual_inversion_header` checks the files, `textual_inversion_loader` adds the tokens.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path

from daguerre.errors import SettingsError
from daguerre.models.diffusers.component_files import WEIGHTS
from daguerre.validation import Table, Validator, check_tables, path_to, pattern, table_list

EMBEDDINGS = table_list(64, '{ path = "toy.safetensors", token = "<toy>" }')
_KEYS: Mapping[str, Validator] = {
    "path": path_to(f"a {WEIGHTS} file"),
    "token": pattern(r"[!-~]{1,100}", "1 to 100 ASCII characters without spaces"),
}


@dataclass(frozen=True, slots=True)
class TextualInversion:
    """A textual inversion of the catalog. CLIP's tokenizers read `token` in lower case."""

    path: Path
    token: str

    @property
    def digest_name(self) -> str:
        """Name of the file in the digest of a checkpoint."""
        return f"embedding {self.token}"


def parse(where: str, catalog_dir: Path, tables: Sequence[Table]) -> tuple[TextualInversion, ...]:
    """Reads the key `embeddings`; `where` names its table in a `SettingsError`."""
    check_tables(f"{where}, embeddings", tables, _KEYS, required=tuple(_KEYS))
    tokens = [str(table["token"]) for table in tables]
    for one, other in permutations(tokens, 2):
        if one.lower() in other.lower():  # diffusers replaces it there, too
            is_same = len(one) == len(other)
            fault = f"equals {other!r} up to its case" if is_same else f"is part of {other!r}"
            raise SettingsError(
                f"{where}: the token {one!r} of embeddings {fault}; change one of them"
            )
    return tuple(
        TextualInversion(catalog_dir / os.path.expanduser(table["path"]), token.lower())
        for table, token in zip(tables, tokens, strict=True)
    )
