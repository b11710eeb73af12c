"""LoRAs of the catalog: its key `loras`. Loads no torch.

`lora_header` checks the files, `lora_fusion` adds them to a pipeline.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from daguerre.errors import SettingsError
from daguerre.models.diffusers.component_files import WEIGHTS
from daguerre.validation import Table, Validator, check_table, float_range, path_to

LIBRARY = "peft"
_MAX_LORAS = 16
LORAS = Validator(
    f'a list of 1 to {_MAX_LORAS} tables such as {{ path = "style.safetensors", scale = 0.8 }}',
    lambda value: (
        isinstance(value, list)
        and 1 <= len(value) <= _MAX_LORAS
        and all(isinstance(one, dict) for one in value)
    ),
)
_KEYS: Mapping[str, Validator] = {
    "path": path_to(f"a {WEIGHTS} file"),
    "scale": float_range(-10, 10),
}


@dataclass(frozen=True, slots=True)
class Lora:
    """A LoRA of the catalog."""

    path: Path
    scale: float = 1.0

    @property
    def digest_name(self) -> str:
        """Name of the file in the digest of a checkpoint: it has all else that decides weights."""
        return f"lora {self.scale!r} {LIBRARY} {metadata.version(LIBRARY)}"


def parse(where: str, catalog_dir: Path, tables: Sequence[Table]) -> tuple[Lora, ...]:
    """Reads the key `loras`; `where` names its table in a `SettingsError`."""
    for number, table in enumerate(tables):
        place = f"{where}, loras[{number}]"
        check_table(place, table, _KEYS)
        if "path" not in table:
            raise SettingsError(f"{place}: path is missing; it must be {_KEYS['path'].rule}")
    return tuple(
        Lora(catalog_dir / os.path.expanduser(table["path"]), float(table.get("scale", 1)))
        for table in tables
    )
