"""Who may do what: API keys with scopes, studios that do not see each other, rates and quotas."""
