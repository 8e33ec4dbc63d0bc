"""Describe the person who consents, and the bot that a consent makes."""

from __future__ import annotations

from deploy.sandbox.providers.notion.objects import uid
from deploy.sandbox.providers.notion.request import SandboxRequest
from deploy.sandbox.providers.notion.rows import owner
from deploy.sandbox.providers.notion.values import Json
from deploy.sandbox.world import SandboxAccount, World


def bot_id(world: World, account: SandboxAccount) -> str:
    """Return the bot's id, always the same for one app, workspace and person."""
    return uid(account.seed, "bot", world.client.id, account.id, owner(account)["id"])


def about_bot(world: World, account: SandboxAccount) -> Json:
    """Return the part of a token reply that describes the connection."""
    return {
        "bot_id": bot_id(world, account),
        "workspace_id": account.home,
        "workspace_name": world.accounts[account.home].name,
        "workspace_icon": None,
        "duplicated_template_id": None,
        "owner": {"type": "user", "user": owner(account)},
    }


def me(request: SandboxRequest) -> Json:
    account = request.world.accounts[request.account]
    bot = {
        "owner": {"type": "user", "user": owner(account)},
        "workspace_id": account.home,
        "workspace_name": request.world.accounts[account.home].name,
        "workspace_limits": {"max_file_upload_size_in_bytes": 5_242_880},
    }
    named = {
        "object": "user",
        "id": bot_id(request.world, account),
        "name": "Simulated connection",
        "avatar_url": None,
    }
    return {**named, "type": "bot", "bot": bot}
