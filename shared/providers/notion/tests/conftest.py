from deploy.sandbox.providers.notion.tests.conftest import world

__all__ = ["world"]
