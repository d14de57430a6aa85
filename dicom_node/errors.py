"""The kinds of failure that the node tells apart. No message ever names a patient."""


class NodeError(Exception):
    """Something the node can say in one sentence: what, where, and what to do about it."""


class ConfigurationError(NodeError):
    """The configuration is refused; the message names file, line, key and the remedy."""


class TransientError(NodeError):
    """Trying again later can help: a destination is away, memory ran out, a child was killed."""


class PermanentError(NodeError):
    """Trying again cannot help; a person must look."""


class UnreadableInstanceError(PermanentError):
    """A received file is no DICOM instance that can be indexed; it goes to quarantine, it is not lost."""


class LedgerError(NodeError):
    """The ledger cannot be opened or is of another version."""


class IllegalTransitionError(NodeError):
    """Code tried a change of state that the transition table does not have; always a bug."""
