"""Load a provider's two folders, and say what is missing in them."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Final, TypeVar, cast

import msgspec

import deploy.sandbox.providers
import shared.providers
from deploy.sandbox.providers import SandboxModule
from shared.connector import Connector, Provider
from tests.conformance.recorded import Answer, Case, Declared

T = TypeVar("T")
FILES: Final = ("__init__.py", "connector.py", "mapping.py", "problems.py", "walk.py", "tests")
METHODS: Final = tuple(name for name in vars(Connector) if not name.startswith("_"))
"""The methods of a connector, in the order of the protocol."""
ANSWERS: Final = "tests/recorded/answers.json"
ITEMS: Final = "tests/recorded/items.json"
DECLARED: Final = "tests/conformance.json"


class Unwritten(Exception):
    """A provider lacks something, or has it wrong. The message says what to write, and where."""


@dataclass(frozen=True)
class Subject:
    """Find what one provider's folders offer.

    ``folder`` is its folder in ``shared/providers``; its sandbox is found by the slug.
    """

    slug: str
    folder: Path

    def at(self, file: str) -> str:
        """Return the path of a file in the provider's folder, relative to the checkout."""
        return f"shared/providers/{self.slug}/{file}"

    @property
    def sandbox_at(self) -> str:
        return f"deploy/sandbox/providers/{self.slug}/"

    def provider(self) -> Provider:
        """Return the provider's data.

        Raises:
            Unwritten: the folder does not offer it.
        """
        found = getattr(
            _imported(f"shared.providers.{self.slug}", self.at("__init__.py")), "PROVIDER", None
        )
        if not isinstance(found, Provider):
            raise Unwritten(
                f"{self.at('__init__.py')} offers no PROVIDER. "
                "Write `PROVIDER: Final = Provider(…)`: everything we know without a call."
            )
        return found

    def connector(self) -> Connector:
        """Return the connector, once it has every method of the protocol.

        Raises:
            Unwritten: the folder offers none, or a method is missing or takes other arguments.
        """
        file = self.at("connector.py")
        found = getattr(
            _imported(f"shared.providers.{self.slug}.connector", file), "CONNECTOR", None
        )
        if found is None:
            raise Unwritten(
                f"{file} offers no CONNECTOR. Write `CONNECTOR: Final[Connector] = "
                f"{self.slug.capitalize()}Connector()` below the class."
            )
        wrong = [text for name in METHODS if (text := _method_flaw(found, name))]
        if wrong:
            raise Unwritten("\n".join(f"{file}: {type(found).__name__} {text}" for text in wrong))
        return cast("Connector", found)

    def new_connector(self) -> Connector:
        """Return a new instance, as another process would make it.

        Raises:
            Unwritten: it cannot be made without arguments.
        """
        kind = type(self.connector())
        try:
            return kind()
        except TypeError as error:
            raise Unwritten(
                f"{self.at('connector.py')}: {kind.__name__}() cannot be called without arguments "
                f"({error}). A connector holds no state: leave __init__ out, and keep everything "
                "about a walk in its cursor."
            ) from None

    def sandbox(self) -> SandboxModule | None:
        """Return the simulated provider, or None when there is no folder for it.

        Raises:
            Unwritten: the folder does not offer what a sandbox has to offer.
        """
        name = f"deploy.sandbox.providers.{self.slug}"
        if find_spec(name) is None:
            return None
        module = _imported(name, f"{self.sandbox_at}__init__.py")
        lacking = [one for one in ("SIMULATED", "SCOPES", "routes") if not hasattr(module, one)]
        if lacking:
            raise Unwritten(
                f"{self.sandbox_at}__init__.py offers no {', no '.join(lacking)}. Write SIMULATED "
                "(a world.Simulated), SCOPES (a frozenset of the scopes it knows) and "
                "routes(world)."
            )
        return cast("SandboxModule", module)

    def declared(self) -> Declared:
        """Return the exceptions that the provider declares: none without the file."""
        path = self.folder / DECLARED
        return self._decoded(path, Declared) if path.exists() else Declared()

    def answers(self) -> list[Answer]:
        """Return the recorded answers.

        Raises:
            Unwritten: the file is missing or malformed.
        """
        return self._decoded(self.folder / ANSWERS, list[Answer])

    def cases(self) -> list[Case]:
        """Return the recorded walks.

        Raises:
            Unwritten: the file is missing or malformed.
        """
        return self._decoded(self.folder / ITEMS, list[Case])

    def _decoded(self, path: Path, kind: type[T]) -> T:
        file = self.at(path.relative_to(self.folder).as_posix())
        try:
            return msgspec.json.decode(path.read_bytes(), type=kind)
        except FileNotFoundError:
            raise Unwritten(
                f"{file} is missing. Write it: docs/guides/add-a-provider.md shows what goes into "
                "it."
            ) from None
        except msgspec.DecodeError as error:
            raise Unwritten(f"{file} cannot be read: {error}.") from None


def subjects() -> list[Subject]:
    """Return every provider's folder, even one without an ``__init__``: its check then says so."""
    found = [
        Subject(path.name, path)
        for home in shared.providers.__path__
        for path in Path(home).iterdir()
        if path.is_dir() and path.name != "__pycache__"
    ]
    return sorted(found, key=lambda subject: subject.slug)


def search_in(root: Path) -> None:
    """Find providers in ``root`` too, in the same two folders as in this checkout."""
    for package in (shared.providers, deploy.sandbox.providers):
        package.__path__.append(str(root.joinpath(*package.__name__.split("."))))


def _imported(name: str, file: str) -> ModuleType:
    try:
        return import_module(name)
    except Exception as error:
        raise Unwritten(f"{file} cannot be imported: {type(error).__name__}: {error}.") from error


def _method_flaw(connector: object, name: str) -> str | None:
    """Return a sentence on what is wrong with a method and what to write, or None."""
    wanted = getattr(Connector, name)
    shape = inspect.signature(wanted)
    is_async = inspect.iscoroutinefunction(wanted)
    line = f"`{'async ' * is_async}def {name}{_written(shape)}`"
    does = (inspect.getdoc(wanted) or "").partition("\n")[0]
    found = getattr(connector, name, None)
    if not callable(found):
        return f"has no {name}(). Write {line}: {does}"
    if inspect.iscoroutinefunction(found) is not is_async:
        return f"has a {name}() that is {'not ' * is_async}a coroutine. Write {line}: {does}"
    if _arguments(inspect.signature(found)) != _arguments(shape)[1:]:
        return f"has a {name}{_written(inspect.signature(found))}. Write {line}: {does}"
    return None


def _written(shape: inspect.Signature) -> str:
    """Return a signature as it stands in the source, its annotations without quotes."""
    return str(shape).replace("'", "")


def _arguments(shape: inspect.Signature) -> list[tuple[str, object]]:
    return [(name, parameter.kind) for name, parameter in shape.parameters.items()]
