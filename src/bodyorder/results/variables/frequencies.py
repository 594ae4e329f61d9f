"""Harmonic frequencies of truncated expansions."""

from bodyorder.results.variables.variable import Variable

FREQUENCIES = {
    "frequency": Variable(
        ("structure", "order", "mode"),
        "1/cm",
        r"\tilde\nu^{\leq n}",
        "harmonic frequency by the sum of all orders up to this one; negative where imaginary",
    ),
    "frequency_total": Variable(
        ("structure", "mode"),
        "1/cm",
        r"\tilde\nu",
        "harmonic frequency of the whole structure; negative where imaginary",
    ),
    "frequency_error": Variable(
        ("structure", "order"),
        "1/cm",
        r"\Delta\tilde\nu",
        "root mean square of what the frequencies of a truncated expansion differ by from those of the whole",
    ),
}
