from deploy.sandbox.providers.hubspot.tests.conftest import sandbox, server, small

__all__ = ["sandbox", "server", "small"]
