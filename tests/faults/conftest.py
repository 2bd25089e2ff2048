"""The same stages as the end-to-end tests have."""

from tests.e2e.conftest import shared, stage

__all__ = ["shared", "stage"]
