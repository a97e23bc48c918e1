"""Who may do what from where. It fails closed: what cannot be judged is refused."""
