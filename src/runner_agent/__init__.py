"""runner-agent: makes an environment's automations true. Floors are described in docs/architecture.md."""

__version__ = "0.2.0"
