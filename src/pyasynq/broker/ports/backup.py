"""Copy all that a broker stores."""

from pathlib import Path
from typing import Protocol


class BackupPort(Protocol):
    """Copy all that the broker stores."""

    async def write(self, file: Path) -> int:
        """Write what is stored now to the new file *file*; return its size, bytes.

        Others go on reading and writing meanwhile. The file appears when it is complete.

        Raises:
            FileExistsError: If there is such a file.
            BrokerError: If it cannot be written; then it is not there.
        """
        ...
