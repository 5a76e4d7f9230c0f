"""What runs inside pods: single files of the standard library, delivered as text through a ConfigMap and never imported by the operator."""
