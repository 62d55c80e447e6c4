"""YAML in, a frozen `Policy` out; a policy and a model in, a `CompiledPolicy` out. Knows nothing of images."""
