"""The API group inferencecache.io: pydantic models, rules across fields, and the CRD made from them."""
