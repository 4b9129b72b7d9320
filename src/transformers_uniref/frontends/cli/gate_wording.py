"""What `segment` and `track` say of answers that did not pass the score gate."""


def below_gate(show_all: bool) -> str:
    """Behind a line about answers that did not pass: why they show nevertheless, or how they would."""
    return ": shown because of --all" if show_all else " (--threshold sets another gate, --all shows every answer)"
