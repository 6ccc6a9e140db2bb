"""How a server that takes only whole turns is asked to go on from the middle of a text.

Such a continuation is a request in words, not an exact one: the model reads its own beginning as a
turn that has ended. What it repeats of it is cut off again (``openai_replies.repeated``).
"""

from typing import Any, Final

from datagen.engines.protocol import Prompt

CONTINUE_VERSION: Final = 1
"""Part of the fingerprint; raise it with any change to the two texts below."""

CONTINUE_REPLY: Final = (
    "Your reply breaks off there. Go on from exactly where it stops, in the middle of a sentence "
    "if need be. Do not repeat any of it, do not comment on it and do not begin anew: write only "
    "what comes next."
)
"""Asked after a reply that the model has begun."""

CONTINUE_TEXT: Final = (
    "Continue the text between the lines. Go on from exactly where it stops, in the same form and "
    "markup, to its natural end. Do not repeat any of it, do not comment on it: write only what "
    "comes next.\n-----\n{text}\n-----"
)
"""Asked about a text that is no conversation."""


def chat_turns(prompt: Prompt, *, prefills: bool) -> tuple[dict[str, Any], str]:
    """A prompt as the body of a chat request.

    Args:
        prompt: what to continue.
        prefills: whether the server continues a last turn of the model's own (vLLM).

    Returns:
        Part of the body, and the text that the reply may repeat.
    """
    if isinstance(prompt, str):
        asked = CONTINUE_TEXT.replace("{text}", prompt)
        return {"messages": [_turn("user", asked)]}, prompt
    turns = [_turn(message.role, message.content) for message in prompt.messages]
    if not prompt.prefill:
        return {"messages": turns}, ""
    turns.append(_turn("assistant", prompt.prefill))
    if prefills:
        options = {"continue_final_message": True, "add_generation_prompt": False}
        return {"messages": turns, **options}, ""
    return {"messages": [*turns, _turn("user", CONTINUE_REPLY)]}, prompt.prefill


def _turn(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}
