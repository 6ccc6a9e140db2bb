"""Human review: which traces people should look at, what they say, and what follows from it."""
