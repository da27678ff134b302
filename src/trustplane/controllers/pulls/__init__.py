"""Controller of failing image pulls in workload clusters, with explanations as Events on their pods."""
