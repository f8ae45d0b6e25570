"""A Dask worker without a server for its dashboard, which closes without waiting for its call."""

from __future__ import annotations

from typing import Any

from distributed import Worker

__all__ = ["QuietWorker"]


class QuietWorker(Worker):  # type: ignore[misc]  # Dask has few types
    """A Dask worker without a server for its dashboard, which closes without waiting for its call."""

    def start_http_server(self, *arguments: Any, **options: Any) -> None:
        """Start none: even without a dashboard it would listen on all networks."""

    async def close(self, timeout: float = 1, executor_wait: bool = False, **options: Any) -> str | None:
        """Close at once. The call sees that its worker is not running any more, and interrupts itself."""
        answer: str | None = await super().close(timeout=timeout, executor_wait=False, **options)
        return answer
