"""Check that PROVIDER is complete: everything that auth, gateway and fetcher read of it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from urllib.parse import urlsplit

from deploy.sandbox.providers import SandboxModule
from shared.connector import Bucket, Provider
from tests.conformance.subject import Subject, Unwritten
from tests.conformance.suite.conftest import simulated

SLUG = re.compile(r"[a-z][a-z0-9_]*")
SOURCES = ("token", "identity", "introspection")


def complain(subject: Subject, wrong: Iterable[str]) -> None:
    found = [f"{subject.at('__init__.py')}: {text}" for text in wrong]
    if found:
        raise Unwritten("\n".join(found))


def test_its_resources_have_slugs_and_labels_of_their_own(
    subject: Subject, provider: Provider
) -> None:
    slugs = Counter(resource.slug for resource in provider.resources)
    wrong = [f"resource {slug!r} is listed {n} times." for slug, n in slugs.items() if n > 1]
    wrong += [
        f"resource {slug!r}: write the slug in small letters, digits and _, as in `line_items`."
        for slug in slugs
        if not SLUG.fullmatch(slug)
    ]
    wrong += [
        f"resource {resource.slug!r} has no label. Write what a person calls many of them."
        for resource in provider.resources
        if not resource.label.strip()
    ]
    if not slugs:
        wrong.append("PROVIDER has no resources. Write one Resource for each object type.")
    complain(subject, wrong)


def test_a_parent_is_a_resource_that_comes_before_its_children(
    subject: Subject, provider: Provider
) -> None:
    before: list[str] = []
    wrong = []
    for resource in provider.resources:
        parent = resource.original.parent_resource
        if parent is not None and parent not in before:
            wrong.append(
                f"{resource.slug}: original.parent_resource is {parent!r}, but no resource before "
                f"it has that slug. Put the resource of its parents before {resource.slug}."
            )
        before.append(resource.slug)
    complain(subject, wrong)


def test_every_scope_of_a_resource_is_asked_for_at_consent(
    subject: Subject, provider: Provider
) -> None:
    asked = provider.oauth.scopes
    complain(
        subject,
        (
            f"{resource.slug} needs the scope {scope!r}, which is not asked for at consent. "
            f"Correct its name, or add it to oauth.scopes (now: {', '.join(asked) or 'none'})."
            for resource in provider.resources
            for scope in resource.scopes
            if scope not in asked
        ),
    )


def test_every_scope_that_is_asked_for_is_known_to_the_sandbox(
    subject: Subject, provider: Provider, sandbox: SandboxModule
) -> None:
    simulated(subject, "scopes")
    known = sandbox.SCOPES
    complain(
        subject,
        (
            f"the scope {scope!r} of oauth.scopes is not one that the sandbox knows. Correct its "
            f"name, or add it to SCOPES in {subject.sandbox_at} (now: "
            f"{', '.join(sorted(known)) or 'none'})."
            for scope in provider.oauth.scopes
            if scope not in known
        ),
    )


def test_the_sandbox_has_its_resources_and_meters_its_buckets(
    subject: Subject, provider: Provider, sandbox: SandboxModule
) -> None:
    simulated(subject, "walk")
    declared = subject.declared().not_simulated
    wanted = [one.slug for one in provider.resources if f"walk/{one.slug}" not in declared]
    lacking = [slug for slug in wanted if slug not in sandbox.SIMULATED.resources]
    unmetered = [one.name for one in provider.buckets if one.name not in sandbox.SIMULATED.limits]
    wrong = [
        f"{subject.sandbox_at}: SIMULATED.resources has no {slug!r}. Add it with its rows, or "
        "declare "
        f'"walk/{slug}" as not simulated.'
        for slug in lacking
    ]
    wrong += [
        f"{subject.sandbox_at}: SIMULATED.limits has no {name!r}. Meter it there as the provider "
        "does."
        for name in unmetered
    ]
    if wrong:
        raise Unwritten("\n".join(wrong))


def test_its_buckets_are_limits(subject: Subject, provider: Provider) -> None:
    names = Counter(bucket.name for bucket in provider.buckets)
    wrong = [f"bucket {name!r} is listed {n} times." for name, n in names.items() if n > 1]
    wrong += [
        f"bucket {bucket.name!r}: {bucket.requests} requests in {bucket.window_s} s is not a "
        "limit. Both must be above 0, and the name must not have a colon. Leave out both where no "
        "figure is published."
        for bucket in provider.buckets
        if not _is_limit(bucket)
    ]
    if not names:
        wrong.append(
            "PROVIDER has no buckets. Write the limit that the provider documents: "
            'Bucket(name="requests", requests=…, window_s=…).'
        )
    if provider.parallel < 1 or provider.page_size < 1:
        wrong.append("parallel and page_size must be at least 1.")
    complain(subject, wrong)


def _is_limit(bucket: Bucket) -> bool:
    if ":" in bucket.name:
        return False
    if bucket.requests is None:
        return bucket.window_s == 0
    return bucket.requests > 0 and bucket.window_s > 0


def test_its_buckets_are_counted_by_ids_that_are_known(
    subject: Subject, provider: Provider
) -> None:
    metered = provider.oauth.identity.metered
    known = {"app", "account", *metered}
    wrong = [
        f"bucket {bucket.name!r} is counted per {name!r}. Use app or account, or write in "
        "identity.metered where that id is read."
        for bucket in provider.buckets
        for name in bucket.per
        if name not in known
    ]
    wrong += [
        f"identity.metered[{name!r}]: the path {path!r} has to be account.id or begin with token., "
        "because it is read at each refresh."
        for name, paths in metered.items()
        for path in paths
        if path != "account.id" and not path.startswith("token.")
    ]
    complain(subject, wrong)


def test_its_identity_is_somewhere_that_is_asked(subject: Subject, provider: Provider) -> None:
    identity = provider.oauth.identity
    paths = [*identity.account_id, *identity.account_name, *identity.grantee]
    wrong = [
        f"the identity's path {path!r} has to begin with one of {', '.join(SOURCES)} and name a "
        "field."
        for path in paths
        if path.partition(".")[0] not in SOURCES or not path.partition(".")[2]
    ]
    read = {path.partition(".")[0] for path in paths}
    if "identity" in read and identity.url is None:
        wrong.append("a path of the identity begins with `identity.`: write identity.url as well.")
    if "introspection" in read and provider.oauth.introspect_url is None:
        wrong.append("a path of the identity begins with `introspection.`: write introspect_url.")
    if not any(path.partition(".")[0] != "introspection" for path in identity.account_id):
        wrong.append(
            "identity.account_id relies on introspection alone, which may fail. Name a field of "
            "the token response or of the identity call: by it we recognise a second consent for "
            "the same account."
        )
    if not identity.account_name:
        wrong.append(
            "identity.account_name is empty. Name the field that a person knows the account by."
        )
    complain(subject, wrong)


def test_its_oauth_errors_can_be_told_apart(subject: Subject, provider: Provider) -> None:
    oauth = provider.oauth
    wrong = []
    if not oauth.error_fields:
        wrong.append(
            "oauth.error_fields is empty. Name the keys of an error body that hold a code."
        )
    if not oauth.dead_grant:
        wrong.append(
            "oauth.dead_grant is empty. Name the codes after which a customer must consent again."
        )
    if oauth.dead_grant & oauth.bad_client:
        both = ", ".join(sorted(oauth.dead_grant & oauth.bad_client))
        wrong.append(
            f"{both} is in both dead_grant and bad_client. Decide: has the grant ended, or are our "
            "settings wrong?"
        )
    complain(subject, wrong)


def test_its_urls_are_https(subject: Subject, provider: Provider) -> None:
    oauth = provider.oauth
    urls = {
        "api_url": provider.api_url,
        "setup_url": provider.setup_url,
        "oauth.authorize_url": oauth.authorize_url,
        "oauth.token_url": oauth.token_url,
        "oauth.revoke_url": oauth.revoke_url,
        "oauth.introspect_url": oauth.introspect_url,
        "oauth.identity.url": oauth.identity.url,
    }
    wrong = []
    for name, url in urls.items():
        whole = (url or "").format(api_url=provider.api_url, token_url=oauth.token_url)
        if url is not None and not _is_https(whole):
            wrong.append(
                f"{name} is {url!r}. Write an https URL with a host and without a fragment."
            )
    if provider.api_url.endswith("/"):
        wrong.append("api_url ends with a slash. Leave it out: a request's path begins with one.")
    complain(subject, wrong)


def test_people_are_told_what_it_is_and_what_it_asks_for(
    subject: Subject, provider: Provider
) -> None:
    wrong = []
    if not provider.name.strip():
        wrong.append("name is empty. Write it as the provider does.")
    if not provider.consent_note.strip().endswith("."):
        wrong.append("consent_note must be one sentence for the connect card, with a full stop.")
    complain(subject, wrong)


def _is_https(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme == "https" and bool(parts.hostname) and not parts.fragment
