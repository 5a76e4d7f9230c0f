"""What the environment may say about the operator."""

from pathlib import Path

import pytest

from inference_cache.runtime.settings import SettingError, read_settings


def test_defaults_need_no_variable() -> None:
    settings = read_settings({})
    assert (settings.lease_seconds, settings.resync_seconds, settings.workers) == (12, 300, 16)
    assert settings.discovery_seconds == 60
    assert (settings.health_address, settings.log_level) == (("0.0.0.0", 8080), "INFO")  # noqa: S104 - the documented default
    assert (settings.kubeconfig, settings.engine_image) == (None, None)
    assert settings.namespace


def test_every_variable_has_its_effect() -> None:
    settings = read_settings(
        {
            "KUBECONFIG": "/etc/kubeconfig",
            "POD_NAME": "operator-1",
            "INFERENCE_CACHE_NAMESPACE": "platform",
            "INFERENCE_CACHE_ENGINE_IMAGE": "engine:v2",
            "INFERENCE_CACHE_HEALTH_ADDRESS": "127.0.0.1:9090",
            "INFERENCE_CACHE_LEASE_SECONDS": "3",
            "INFERENCE_CACHE_RESYNC_SECONDS": "3600",
            "INFERENCE_CACHE_DISCOVERY_SECONDS": "7",
            "INFERENCE_CACHE_WORKERS": "64",
            "INFERENCE_CACHE_LOG_LEVEL": "debug",
        }
    )
    assert settings.kubeconfig == Path("/etc/kubeconfig")
    assert settings.identity.startswith("operator-1_")
    assert (settings.namespace, settings.engine_image) == ("platform", "engine:v2")
    assert settings.health_address == ("127.0.0.1", 9090)
    assert (settings.lease_seconds, settings.resync_seconds, settings.workers) == (3, 3600, 64)
    assert (settings.discovery_seconds, settings.log_level) == (7, "DEBUG")


def test_identity_is_never_the_same_twice() -> None:
    assert read_settings({"POD_NAME": "a"}).identity != read_settings({"POD_NAME": "a"}).identity


@pytest.mark.parametrize("name", ["LEASE_SECONDS", "WORKERS", "LOG_LEVEL", "HEALTH_ADDRESS", "ENGINE_IMAGE"])
def test_an_empty_variable_counts_as_unset(name: str) -> None:
    expected, found = read_settings({}), read_settings({f"INFERENCE_CACHE_{name}": ""})
    assert getattr(found, name.lower()) == getattr(expected, name.lower())


@pytest.mark.parametrize(
    ("name", "value", "remedy"),
    [
        ("LEASE_SECONDS", "2", "from 3 to 60"),
        ("LEASE_SECONDS", "61", "from 3 to 60"),
        ("LEASE_SECONDS", "soon", "from 3 to 60"),
        ("RESYNC_SECONDS", "4", "from 5 to 3600"),
        ("RESYNC_SECONDS", "3601", "from 5 to 3600"),
        ("DISCOVERY_SECONDS", "0", "from 1 to 3600"),
        ("DISCOVERY_SECONDS", "3601", "from 1 to 3600"),
        ("WORKERS", "0", "from 1 to 64"),
        ("WORKERS", "65", "from 1 to 64"),
        ("LOG_LEVEL", "LOUD", "write DEBUG, INFO, WARNING or ERROR"),
        ("HEALTH_ADDRESS", "8080", "write HOST:PORT"),
        ("HEALTH_ADDRESS", ":8080", "write HOST:PORT"),
        ("HEALTH_ADDRESS", "localhost:0", "write HOST:PORT"),
    ],
)
def test_unusable_value_is_refused_with_name_value_and_remedy(name: str, value: str, remedy: str) -> None:
    with pytest.raises(SettingError) as refusal:
        read_settings({f"INFERENCE_CACHE_{name}": value})
    message = str(refusal.value)
    assert f"INFERENCE_CACHE_{name} is {value!r}" in message
    assert remedy in message
