from __future__ import annotations

from collections.abc import Iterator

import pytest

from deploy.sandbox.providers.hubspot.tests.serving import Serving, serving
from deploy.sandbox.world import Limiter, SandboxAccount


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    with serving(tmp_path_factory.mktemp("sandbox")) as running:
        yield running


@pytest.fixture
def sandbox(server: Serving) -> Serving:
    """Return the module's server with its quotas untouched."""
    server.world.limiter = Limiter(server.world.simulated.limits)
    return server


@pytest.fixture
def small(sandbox: Serving, request: pytest.FixtureRequest) -> SandboxAccount:
    """Return an account that is quick to walk and used by this test alone."""
    return sandbox.world.add_account(
        request.node.name, 3, {"companies": 12, "contacts": 250, "deals": 30}
    )
