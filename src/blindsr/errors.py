"""The errors a caller can act on. Each message says what was wrong, in which file, and what to do."""


class BlindSRError(Exception):
    """Base of every error this package raises on purpose; its text is one line fit for a terminal."""


class InputError(BlindSRError):
    """A file or an option given by the user cannot be used."""


class ModelError(BlindSRError):
    """A model file or a checkpoint is missing, damaged, or not what it claims to be."""


class ConfigError(BlindSRError):
    """A training configuration has an unknown key or an impossible value."""


class MissingExtraError(BlindSRError):
    """An optional dependency is not installed.

    Args:
        purpose: What was asked for, e.g. "training".
        extra: The pip extra that brings it, e.g. "train".
        package: The import that failed, e.g. "torch"; left out of the message when empty.
    """

    def __init__(self, purpose: str, extra: str, package: str = "") -> None:
        self.extra = extra
        missing = f" ({package} is not installed)" if package else ""
        super().__init__(f'{purpose} needs the extra [{extra}]{missing}: pip install "blindsr[{extra}]"')
