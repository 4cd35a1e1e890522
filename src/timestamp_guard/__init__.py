"""Make `updatedAt` trustworthy: judged where it is written, checked where it is stored, filled where it is missing."""
