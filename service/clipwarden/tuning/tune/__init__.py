"""What tuning found for a policy's categories, and the version of the policy that says so."""
