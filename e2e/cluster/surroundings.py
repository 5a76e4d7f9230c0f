"""What every cluster gets beside its control plane, whoever runs that: KWOK for fake nodes and an S3 server, on this machine."""

from pathlib import Path
from typing import Final

from .layout import ADMIN, MARK, S3_DOMAIN, Layout
from .supervisor import ProcessSpec

_STAGES: Final = Path(__file__).parent / "stages.yaml"


def build_surroundings(layout: Layout) -> list[ProcessSpec]:
    """Return the processes that surround a control plane."""
    return [
        ProcessSpec(
            "kwok",
            [
                str(layout.bin_dir / "kwok"),
                f"--config={_STAGES}",
                f"--kubeconfig={layout.kubeconfig(ADMIN)}",
                f"--manage-nodes-with-label-selector={MARK}={layout.mark}",
                # The lower half; the engine simulator gives out the upper one.
                f"--cidr=127.{16 + layout.slot}.0.0/17",
                "--node-lease-duration-seconds=40",
                f"--server-address=127.0.0.1:{layout.ports['kwok']}",
            ],
            essential=True,
        ),
        ProcessSpec(
            "versitygw",
            [
                str(layout.bin_dir / "versitygw"),
                "--port",
                f"127.0.0.1:{layout.ports['s3']}",
                "--virtual-domain",
                S3_DOMAIN,
                "--iam-dir",
                str(layout.folder / "s3-users"),
                "posix",
                str(layout.folder / "s3"),
            ],
            {"ROOT_ACCESS_KEY": layout.s3_access_key, "ROOT_SECRET_KEY": layout.s3_secret_key},
            essential=True,
        ),
    ]
