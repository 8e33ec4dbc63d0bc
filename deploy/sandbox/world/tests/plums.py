"""Simulate the smallest possible provider: baskets of plums."""

from collections.abc import Iterator

import msgspec

from deploy.sandbox.world import Limit, Rows, SandboxAccount, SandboxClient, SandboxRow

START = "2026-01-01T00:00:00.000Z"


class Plums:
    slug = "plums"
    resources = ("baskets", "plums")
    limits = {"token": Limit(1000, 10.0)}  # noqa: RUF012  # a stand-in for one test
    default = SandboxAccount(id="acc-1", name="Orchard", seed=1, counts={"baskets": 2, "plums": 5})

    def account_id(self, name: str, seed: int) -> str:
        return f"acc-{name.lower()}-{seed}"

    def generate(self, account: SandboxAccount) -> Iterator[tuple[str, SandboxRow]]:
        for resource in self.resources:
            for n in range(account.counts.get(resource, 0)):
                modified = START if resource == "plums" else ""
                yield (
                    resource,
                    SandboxRow(
                        id=f"{resource}-{account.seed}-{n}",
                        created=START,
                        modified=modified,
                        body={"n": n},
                    ),
                )

    def create(self, account: SandboxAccount, rows: Rows, resource: str, at: str) -> SandboxRow:
        n = len(rows[resource])
        return SandboxRow(
            id=f"{resource}-{account.seed}-{n}", created=at, modified=at, body={"n": n}
        )

    def update(self, row: SandboxRow, resource: str, at: str) -> SandboxRow:
        return msgspec.structs.replace(
            row, modified=at, body={**row.body, "edited": row.body.get("edited", 0) + 1}
        )


class Baskets(Plums):
    """Simulate baskets that take their plums with them when they are thrown away."""

    def archive(
        self, rows: Rows, resource: str, row: SandboxRow, at: str
    ) -> list[tuple[str, SandboxRow]]:
        gone = [(resource, row)]
        if resource == "baskets":
            gone += [("plums", plum) for plum in rows["plums"].values() if not plum.archived]
        return [
            (kind, msgspec.structs.replace(one, archived=True, modified=at)) for kind, one in gone
        ]


CLIENT = SandboxClient(
    id="tributary-sandbox-plums",
    secret="s3cret",
    redirect_uris=("http://localhost:8000/integrations/plums/oauth2callback",),
)
