"""Remedies for Secrets: which one to write, with which keys, or which right to grant."""

import re

from inference_cache.api.parsing import parse_spec
from inference_cache.domain.defaults import settle
from inference_cache.domain.preflight import S3_KEYS, list_needed_keys

from .fixes import Command, Fix, Situation, find_field, look
from .store_facts import edit_store, find_store, find_store_secret, patch_secret, placeholder


def mend_absent_secret(situation: Situation) -> tuple[Fix, ...]:
    """The Secret does not exist."""
    name, keys = _find_secret(situation)
    literals = [f"--from-literal={key}={placeholder(key)}" for key in keys]
    create = situation.target.kubectl("create", "secret", "generic", name, *literals)
    why = f"Secret {name} does not exist in namespace {situation.target.namespace}. Create it with the keys that are read from it."
    fixes = [Fix(why, (Command(create),))]
    store = find_store(situation)
    if store is not None and find_field(store[1], ("credentials", "secretRef", "name")) == name:
        path = (*store[0], "credentials", "secretRef", "name")
        other = "Name another Secret of this namespace that has the keys."
        fixes.append(Fix(other, (look(situation.target.kubectl("get", "secrets")), situation.edit(path, "<SECRET>"))))
    return tuple(fixes)


def mend_bad_key(situation: Situation) -> tuple[Fix, ...]:
    """A key of the Secret is missing or malformed."""
    name, keys = _find_secret(situation)
    named = [key for key in keys if re.search(rf"\b{re.escape(key)}\b", situation.message)] or keys
    why = f"Write {_list(named)} of Secret {name} again, as the bare value; kubectl encodes it. The other keys stay."
    return (Fix(why, (patch_secret(situation, name, named),)),)


def mend_unreadable_secret(situation: Situation) -> tuple[Fix, ...]:
    """The operator may not read the Secret."""
    name, _ = _find_secret(situation)
    target = situation.target
    role = f"inference-cache-read-{name}"[:63].rstrip("-.")
    create = ("create", "role", role, "--verb=get", "--resource=secrets", f"--resource-name={name}")
    bind = ("create", "rolebinding", role, f"--role={role}", f"--serviceaccount={target.account}")
    why = f"The operator may not read Secret {name}. This grants that one right and no other."
    return (Fix(why, (Command(target.kubectl(*create)), Command(target.kubectl(*bind)))),)


def mend_unknown_access_key(situation: Situation) -> tuple[Fix, ...]:
    """The store does not know the access key."""
    name, _ = find_store_secret(situation)
    why = f"The store does not know the access key in Secret {name}: it was deleted there, is of another store, or mistyped. Write a pair that the store has issued."
    return (Fix(why, (patch_secret(situation, name, S3_KEYS),)),)


def mend_signature(situation: Situation) -> tuple[Fix, ...]:
    """The secret key is wrong."""
    name, _ = find_store_secret(situation)
    why = f"The store knows the access key, but AWS_SECRET_ACCESS_KEY in Secret {name} does not belong to it. Write the one that does."
    return (
        Fix(why, (patch_secret(situation, name, S3_KEYS[1:]),)),
        *edit_store(situation, "Some stores say the same of a wrong region.", ("region",), "<REGION>"),
    )


def _find_secret(situation: Situation) -> tuple[str, tuple[str, ...]]:
    """Return the Secret that the message is about, with the keys that are read from it."""
    needed = _list_needed(situation)
    named = [name for name in needed if re.search(rf"(?<![-.\w]){re.escape(name)}(?![-\w])", situation.message)]
    if not needed:
        return "<SECRET>", S3_KEYS
    name = max(named, key=len) if named else min(needed)
    return name, needed[name]


def _list_needed(situation: Situation) -> dict[str, tuple[str, ...]]:
    parsed = parse_spec(situation.target.name, situation.spec)
    return {} if isinstance(parsed, list) else list_needed_keys(settle(parsed))


def _list(words: list[str] | tuple[str, ...]) -> str:
    return " and ".join(words)
