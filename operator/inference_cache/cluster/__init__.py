"""Effects: Kubernetes, the object store and the HTTP surfaces of engines. The only importer of kubernetes and boto3."""
