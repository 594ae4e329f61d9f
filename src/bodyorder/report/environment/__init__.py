"""Orders in their environment: why few bodies are enough although the expansion in vacuum diverges."""

from bodyorder.report.environment.section import environment_parts

__all__ = ["environment_parts"]
