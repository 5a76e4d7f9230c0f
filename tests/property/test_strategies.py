"""The strategy gives nothing but specs that the API accepts, and leaves no field of it out."""

from inference_cache.api.parsing import parse_spec
from tests.property.leaves import SCHEMA, list_leaves, list_used_leaves
from tests.property.strategies import collect_specs


def test_specs_obey_the_api() -> None:
    for spec in collect_specs():
        parsed = parse_spec("name", spec)
        assert not isinstance(parsed, list), [str(item) for item in parsed]


def test_every_leaf_of_the_schema_is_covered() -> None:
    seen = {leaf for spec in collect_specs() for leaf in list_used_leaves(spec, SCHEMA)}
    assert seen == set(list_leaves(SCHEMA))
