"""What people write into each kind, with the words that messages about it use: examples, other names, delicate places."""

from typing import Final

from .examples import EXAMPLES, FABRIC_EXAMPLES
from .fabric import InferenceCacheFabricSpec
from .fields import Form
from .node_report import InferenceCacheNodeReport
from .v1alpha1 import InferenceCacheDeploymentSpec

DEPLOYMENT_FORM: Final = Form(
    root="spec",
    model=InferenceCacheDeploymentSpec,
    examples=EXAMPLES,
    other_names={
        "accesskeyid": ("spec.cache.tiers[].objectStore.credentials.secretRef",),
        "args": ("spec.engine.extraArgs",),
        "ca": ("spec.cache.tiers[].objectStore.tls.caRef",),
        "cabundle": ("spec.cache.tiers[].objectStore.tls.caRef",),
        "dram": ("spec.cache.tiers[].memory",),
        "env": ("spec.engine.extraEnv",),
        "extraarguments": ("spec.engine.extraArgs",),
        "extraenvironment": ("spec.engine.extraEnv",),
        "forcepathstyle": ("spec.cache.tiers[].objectStore.addressing",),
        "gpucount": ("spec.engine.tensorParallelSize",),
        "gpus": ("spec.engine.tensorParallelSize",),
        "hftoken": ("spec.model.source.huggingFace.tokenSecretRef",),
        "l1": ("spec.cache.tiers[].memory",),
        "l1sizegb": ("spec.cache.tiers[].memory.size",),
        "l2": ("spec.cache.tiers[].objectStore",),
        "maxmodellength": ("spec.model.maxModelLen",),
        "nodeselector": ("spec.nodes.selector",),
        "pathstyle": ("spec.cache.tiers[].objectStore.addressing",),
        "pvc": ("spec.model.source.persistentVolumeClaim",),
        "s3": ("spec.cache.tiers[].objectStore",),
        "secretaccesskey": ("spec.cache.tiers[].objectStore.credentials.secretRef",),
        "servedmodelname": ("spec.model.name",),
        "ipclock": ("spec.transport.lockedMemory",),
        "memlock": ("spec.transport.lockedMemory",),
        "rdmapolicy": ("spec.transport.policy",),
        "token": ("spec.model.source.huggingFace.tokenSecretRef",),
        "tp": ("spec.engine.tensorParallelSize",),
        "valuefrom": ("spec.engine.extraEnv[].secretKeyRef",),
    },
    images=frozenset({"spec.engine.image", "spec.model.source.image.reference"}),
    hatches={
        "spec.engine.extraArgs": "",
        "spec.engine.extraEnv": "name",
        "spec.cache.tiers[].objectStore.plugin.parameters": "name",
        "spec.cache.tiers[].objectStore.plugin.tcpParameters": "name",
    },
)
FABRIC_FORM: Final = Form(
    root="spec",
    model=InferenceCacheFabricSpec,
    examples=FABRIC_EXAMPLES,
    other_names={
        "deviceid": ("spec.devices.deviceIds",),
        "ifnames": ("spec.devices.interfaces",),
        "image": ("spec.devices.pluginImage",),
        "master": ("spec.networks[].interface",),
        "numvfs": ("spec.devices.virtualFunctions",),
        "pfnames": ("spec.devices.interfaces",),
        "rdmahcamax": ("spec.devices.slots",),
        "vlanid": ("spec.networks[].vlan",),
    },
    images=frozenset({"spec.devices.pluginImage"}),
)
REPORT_FORM: Final = Form(root="report", model=InferenceCacheNodeReport)
