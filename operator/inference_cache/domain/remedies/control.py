"""Remedies for what lies between operator and API server: rights, refusals, foreign objects, the operator itself."""

import re

from inference_cache.api.parsing import parse_spec

from .fabric import NOT_OF_FABRIC, mend_taken_name
from .fixes import Command, Edit, Fix, Situation, look
from .nodes import install_rights
from .quota import plan_quota


def mend_name_conflict(situation: Situation) -> tuple[Fix, ...]:
    """A foreign object has the wanted name."""
    if NOT_OF_FABRIC in situation.message:
        return mend_taken_name(situation)
    match = re.search(r"(\w+) [-.\w]+/([-.\w]+) exists", situation.message)
    kind, name = (match[1].lower(), match[2]) if match else ("<KIND>", "<NAME>")
    target = situation.target
    why = f"The operator wants to create {kind} {name}, and somebody else's has that name. Look at it; if nobody needs it, delete it, and the operator creates its own."
    delete = Fix(
        why, (look(target.kubectl("get", kind, name, "--show-labels")), Command(target.kubectl("delete", kind, name)))
    )
    rename = "If it is needed, create the deployment under another name (metadata.name) and delete this one; running pods do not move."
    return (delete, Fix(rename, (Command(target.kubectl("delete", "icd", target.name)),)))


def wait_for_deletion(situation: Situation) -> tuple[Fix, ...]:
    """An older object is still being deleted."""
    match = re.search(r"(\w+) [-.\w]+/([-.\w]+) ", situation.message)
    why = "It passes when the older object is gone. If it lasts, a finalizer holds it: this shows which, and its controller must finish."
    words = ("get", match[1].lower(), match[2]) if match else ("get", "statefulset,service,configmap")
    return (Fix(why, (look(situation.target.kubectl(*words, "-o", "jsonpath={.metadata.finalizers}")),)),)


def mend_rights(situation: Situation) -> tuple[Fix, ...]:
    """The operator lacks a right."""
    account = f"--as=system:serviceaccount:{situation.target.account}"
    match = re.search(r"cannot (\w+) resource \"([^\"]+)\" in API group \"([^\"]*)\"", situation.message)
    steps = []
    if match:
        resource = f"{match[2]}.{match[3]}" if match[3] else match[2]
        steps.append(look(situation.target.kubectl("auth", "can-i", match[1], resource, account)))
    why = "The operator's ServiceAccount lacks a right. Install the rights that belong to the operator's version; the file is in its release."
    return (Fix(why, (*steps, *install_rights(situation))),)


def mend_refusal(situation: Situation) -> tuple[Fix, ...]:
    """Admission, quota or validation refuses an object."""
    if fix := plan_quota(situation.target, situation.message):
        return (fix,)
    webhook = re.search(r"admission webhook \"([^\"]+)\"", situation.message)
    why = "The API server refuses an object of the deployment; the message says why. Change that policy, or the spec so that it complies."
    steps = (
        (_show_webhooks(situation),)
        if webhook
        else (look(situation.target.kubectl("get", "resourcequota,limitrange")),)
    )
    if webhook:
        why = f"The admission webhook {webhook[1]} refuses an object of the deployment; its owner can say what it demands."
    return (Fix(why, steps),)


def mend_failing_requests(situation: Situation) -> tuple[Fix, ...]:
    """The API server fails."""
    webhook = re.search(r"failed calling webhook \"([^\"]+)\"", situation.message)
    if webhook:
        why = f"The admission webhook {webhook[1]} does not answer, so the API server refuses. Bring its service up, or have its owner set failurePolicy: Ignore. This lists all webhooks with their services."
        return (Fix(why, (_show_webhooks(situation),)),)
    why = "The API server fails the operator's requests; they are repeated. See its own health."
    return (Fix(why, (look(situation.target.kubectl_cluster("get", "--raw", "/readyz?verbose")),)),)


def _show_webhooks(situation: Situation) -> Command:
    columns = "custom-columns=CONFIGURATION:.metadata.name,WEBHOOKS:.webhooks[*].name,SERVICES:.webhooks[*].clientConfig.service.name,POLICY:.webhooks[*].failurePolicy"
    kinds = "validatingwebhookconfigurations,mutatingwebhookconfigurations"
    return look(situation.target.kubectl_cluster("get", kinds, "-o", columns))


def mend_lost_config(situation: Situation) -> tuple[Fix, ...]:
    """A ConfigMap of running pods is gone."""
    why = "Pods that restart cannot start until the held change goes through or is undone: mend the check that holds it, or apply the spec of before again. Which check it is:"
    show = situation.target.kubectl("get", "icd", situation.target.name, "-o", "jsonpath={.status.conditions}")
    return (Fix(why, (look(show),)),)


def mend_spec(situation: Situation) -> tuple[Fix, ...]:
    """The spec breaks a rule."""
    parsed = parse_spec(situation.target.name, situation.spec)
    violations = parsed if isinstance(parsed, list) else []
    crd = Command(situation.target.kubectl_cluster("apply", "--server-side", "-f", "crds/"))
    update = Fix(
        "The CRD in the cluster let this through, so it is older than the operator. Install the one of its release.",
        (crd,),
    )
    if not violations:
        newer = "This icd finds no violation: it is of another version than the operator, whose message above names the fields."
        return (Fix(newer, (Edit("spec", how="Correct the fields that the message names."),)), update)
    edits = tuple(Edit(item.field, how=item.message) for item in violations)
    return (Fix("Correct these fields.", edits), update)


def read_operator_log(situation: Situation) -> tuple[Fix, ...]:
    """The operator failed."""
    why = "The operator met an error that it does not know; it tries again. Its log has the traceback: report it, with the operator's version."
    logs = situation.target.kubectl_operator("logs", "deployment/inference-cache-operator", "--since=1h", "--tail=200")
    return (Fix(why, (look(logs),)),)


def check_operator(situation: Situation) -> tuple[Fix, ...]:
    """The operator has not acted on the spec, or on the deployment at all."""
    target = situation.target
    why = "See whether the operator runs, which replica leads, and what it says."
    return (
        Fix(
            why,
            (
                look(target.kubectl_operator("get", "deployments,pods,leases")),
                look(target.kubectl_operator("logs", "deployment/inference-cache-operator", "--tail=50")),
            ),
        ),
        Fix(
            "If it runs and does not act: start it anew. Pods of deployments do not notice.",
            (Command(target.kubectl_operator("rollout", "restart", "deployment/inference-cache-operator")),),
        ),
    )
