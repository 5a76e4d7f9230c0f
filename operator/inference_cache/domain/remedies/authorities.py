"""Remedies for the ConfigMap that holds the certificate authorities of a store."""

from .fixes import Command, Fix, Situation, find_field
from .store_facts import find_store


def mend_absent_authorities(situation: Situation) -> tuple[Fix, ...]:
    """The ConfigMap does not exist."""
    name, key = _find_reference(situation)
    create = situation.target.kubectl("create", "configmap", name, f"--from-file={key}=<CA_FILE>")
    why = f"ConfigMap {name} does not exist in namespace {situation.target.namespace}. Create it from the PEM file of the authorities that signed the store's certificate."
    return (Fix(why, (Command(create),)),)


def mend_bad_authorities(situation: Situation) -> tuple[Fix, ...]:
    """The key is missing or holds no certificate."""
    name, key = _find_reference(situation)
    target = situation.target
    build = target.kubectl(
        "create", "configmap", name, f"--from-file={key}=<CA_FILE>", "--dry-run=client", "-o", "yaml"
    )
    apply = target.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-")
    why = f"Write key {key} of ConfigMap {name} from the PEM file of the authorities that signed the store's certificate. Its other keys stay."
    return (Fix(why, (Command(f"{build} | {apply}"),)),)


def _find_reference(situation: Situation) -> tuple[str, str]:
    store = find_store(situation)
    reference = find_field(store[1], ("tls", "caRef")) if store else None
    return (reference or {}).get("configMap", "<CONFIG_MAP>"), (reference or {}).get("key", "ca.crt")
