"""Makes the workspace and the users, and their passwords and keys what the credentials say.

A user whose key is right is left alone, so a password that was changed in Argilla stays changed.
"""

# pyright: basic, reportMissingImports=false

from argilla_server.contexts import accounts
from argilla_server.database import AsyncSessionLocal
from argilla_server.enums import UserRole
from argilla_server.models import User, Workspace, WorkspaceUser


async def settle_accounts(workspace_name: str, wanted: list) -> None:
    """Add what is missing; nobody is removed.

    Args:
        workspace_name: all annotators become members of it.
        wanted: ``username``, ``role``, ``password`` and ``api_key`` of each user.
    """
    async with AsyncSessionLocal() as db:
        workspace = await Workspace.get_by(db, name=workspace_name)
        if workspace is None:
            workspace = await accounts.create_workspace(db, {"name": workspace_name})
        for login in wanted:
            user = await User.get_by(db, username=login["username"])
            if user is None:
                user = User(username=login["username"], first_name=login["username"])
            if user.api_key != login["api_key"]:
                user.role = UserRole(login["role"])
                user.api_key = login["api_key"]
                user.password_hash = accounts.hash_password(login["password"])
                await user.save(db)
            member = {"workspace_id": workspace.id, "user_id": user.id}
            if not user.is_owner and await WorkspaceUser.get_by(db, **member) is None:
                await WorkspaceUser.create(db, **member)
