"""The settings of one process: the values of the table, and where they come from.

Command-line flags, environment variables and the reference page follow from the table. A flag
overrides the environment variable (`DAGUERRE_<NAME>`), which overrides the variable of a platform
(`PORT`) and the default. White space at both ends of a variable is removed, such as the carriage
return of a Windows env file. A secret can be in a file, which `--<name>-file` or
`DAGUERRE_<NAME>_FILE` names.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from urllib.parse import unquote, urlsplit

from daguerre import environment, setting_sources
from daguerre.errors import SettingsError
from daguerre.settings_table import SettingsTable


@dataclass(frozen=True, slots=True)
class Settings(SettingsTable):
    """The values of all settings; `Settings.load` reads flags and the environment."""

    @classmethod
    def load(
        cls, flags: Mapping[str, object] | None = None, environ: Mapping[str, str] | None = None
    ) -> Settings:
        """Reads flags, then the environment. A flag that is None and an empty variable are unset.

        Variables of Kubernetes are ignored. Raises `SettingsError` for a bad value, or for a
        variable that is a typo.
        """
        flags, variables = flags or {}, environment.variables(environ)
        names = [setting.name for setting in fields(cls)]
        environment.check_names(variables, [*names, *map(setting_sources.file_of, secret_names())])
        settings = cls(
            **{s.name: setting_sources.value_of(s, flags, variables) for s in fields(cls)}
        )
        if settings.default_response_format == "url" and not settings.image_store_max_bytes:
            raise SettingsError(
                "default_response_format is 'url', but image_store_max_bytes is 0; store images, or"
                " set default_response_format to b64_json"
            )
        return settings

    def data_dir(self) -> Path:
        """The data directory: `home`, or the platform's."""
        if self.home is not None:
            return self.home
        import platformdirs

        try:
            return platformdirs.user_data_path("daguerre")
        except RuntimeError:
            raise SettingsError(
                "this user has no home directory; set a data directory with --home or DAGUERRE_HOME"
            ) from None

    def public_base_url(self) -> str:
        """URL of the server without a trailing slash: the public one, or one on this machine."""
        if self.public_url:
            return self.public_url.rstrip("/")
        host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(self.host, self.host)
        host = f"[{host}]" if ":" in host and host[0] != "[" else host
        return f"http://{host}:{self.port}{self.root_path}"

    def path_prefix(self) -> str:
        """The prefix of paths that a proxy does not remove, without a trailing slash."""
        return self.root_path or unquote(urlsplit(self.public_url).path).rstrip("/")

    def cors_origin_list(self) -> tuple[str, ...]:
        return tuple(origin for origin in self.cors_origins.split(",") if origin)

    def trusted_proxy_list(self) -> tuple[str, ...]:
        return tuple(network for network in self.trusted_proxies.split(",") if network)

    def redacted(self) -> dict[str, object]:
        """Name -> value, with secrets replaced by `***`."""
        secrets = secret_names()
        return {
            name: "***" if name in secrets and value else value
            for name, value in asdict(self).items()
        }

    def without_secrets(self) -> Settings:
        """The same settings, with the default of each secret."""
        plain = {setting.name for setting in fields(self)} - secret_names()
        return Settings(**{name: getattr(self, name) for name in plain})


def secret_names() -> frozenset[str]:
    """Names of the settings that are secrets."""
    return frozenset(setting.name for setting in fields(Settings) if setting.metadata["secret"])
