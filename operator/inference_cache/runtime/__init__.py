"""The process: watches become keys, keys become reconcile passes. The only importer of kopf."""
