"""What the environment says of this machine itself, apart from the configuration of pipelines."""

from pathlib import Path

from pydantic import SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


class Environment(BaseSettings):
    """The user's folders, as the XDG Base Directory Specification names and defaults them, and where Java is."""

    model_config = SettingsConfigDict(extra="ignore", frozen=True)

    xdg_cache_home: Path | None = None
    xdg_data_home: Path | None = None
    java_home: Path | None = None

    @field_validator("*")
    @classmethod
    def _absolute(cls, folder: Path | None) -> Path | None:
        """Relative paths count as not set, says the specification."""
        return folder if folder is not None and folder.is_absolute() else None

    @property
    def cache(self) -> Path:
        """Return the folder of caches."""
        return self.xdg_cache_home or Path.home() / ".cache"

    @property
    def data(self) -> Path:
        """Return the folder of data that programs keep."""
        return self.xdg_data_home or Path.home() / ".local" / "share"


class ClientPasswords(BaseSettings):
    """The passwords that the databases' own clients take from the environment."""

    model_config = SettingsConfigDict(extra="ignore", frozen=True)

    pgpassword: SecretStr | None = None
    mysql_pwd: SecretStr | None = None

    def of(self, engine: str) -> str:
        """Return the password for an engine's client, empty if there is none."""
        found = {"postgres": self.pgpassword, "mysql": self.mysql_pwd}.get(engine)
        return found.get_secret_value() if found else ""
