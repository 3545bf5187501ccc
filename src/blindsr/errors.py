"""The errors a caller can act on. Each message says what was wrong, in which file, and what to do."""


class BlindSRError(Exception):
    """Base of every error this package raises on purpose; its text is one line fit for a terminal.

    Example:
        >>> try:
        ...     blindsr.read("missing.jpg")
        ... except blindsr.BlindSRError as error:
        ...     print(error)
        missing.jpg: cannot be read (No such file or directory)
    """


class InputError(BlindSRError):
    """A file or an option given by the user cannot be used.

    Example:
        >>> blindsr.read(np.zeros((4, 4), np.int64))
        Traceback (most recent call last):
        blindsr.errors.InputError: array of int64: give uint8, uint16, or floating point in [0, 1]
    """


class ModelError(BlindSRError):
    """A model file or a checkpoint is missing, damaged, or not what it claims to be.

    Example:
        >>> blindsr.load_model("models/nowhere")
        Traceback (most recent call last):
        blindsr.errors.ModelError: models/nowhere: no such model folder
    """


class ConfigError(BlindSRError):
    """A training configuration has an unknown key or an impossible value.

    Example:
        >>> blindsr.ConfigError("my.yaml: steps: give 1 or more")
        ConfigError('my.yaml: steps: give 1 or more')
    """


class MissingExtraError(BlindSRError):
    """An optional dependency is not installed.

    Args:
        purpose: What was asked for, e.g. "training".
        extra: The pip extra that brings it, e.g. "train".
        package: The import that failed, e.g. "torch"; left out of the message when empty.

    Example:
        >>> print(blindsr.MissingExtraError("training", "train", "torch"))
        training needs the extra [train] (torch is not installed): pip install "blindsr[train]"
    """

    def __init__(self, purpose: str, extra: str, package: str = "") -> None:
        self.extra = extra
        missing = f" ({package} is not installed)" if package else ""
        super().__init__(f'{purpose} needs the extra [{extra}]{missing}: pip install "blindsr[{extra}]"')
