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
from daguerre.validation import Table, Validator, check_table, path_to, pattern

_MAX_EMBEDDINGS = 64
_EXAMPLE = '{ path = "toy.safetensors", token = "<toy>" }'
EMBEDDINGS = Validator(
    f"a list of 1 to {_MAX_EMBEDDINGS} tables such as {_EXAMPLE}",
    lambda value: (
        isinstance(value, list)
        and 1 <= len(value) <= _MAX_EMBEDDINGS
        and all(isinstance(one, dict) for one in value)
    ),
)
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
    for number, table in enumerate(tables):
        place = f"{where}, embeddings[{number}]"
        check_table(place, table, _KEYS)
        for key in _KEYS.keys() - table.keys():
            raise SettingsError(f"{place}: {key} is missing; it must be {_KEYS[key].rule}")
    found = tuple(
        TextualInversion(
            catalog_dir / os.path.expanduser(table["path"]), str(table["token"]).lower()
        )
        for table in tables
    )
    for one, other in permutations(found, 2):
        if one.token in other.token:  # diffusers replaces it there, too
            raise SettingsError(
                f"{where}: the token {one.token!r} of embeddings is part of {other.token!r};"
                " change one of them"
            )
    return found
