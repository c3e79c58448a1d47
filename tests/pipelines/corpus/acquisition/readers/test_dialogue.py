"""Dialogues: every layout to one template, and the real instruction sets without a turn lost."""

from typing import Any

import pytest

from pipelines.corpus.acquisition.config import DialogueConfig, ReaderConfig
from pipelines.corpus.acquisition.readers import read_records
from pipelines.corpus.acquisition.readers.dialogue import NoDialogue, dialogue_text
from pipelines.corpus.acquisition.records import Record
from tests.shared_data import shared, shared_records

ASKED = "User: Hi {role}\n\nAssistant: Hello"
MESSAGES = [{"role": "user", "content": "Hi {role}"}, {"role": "assistant", "content": "Hello"}]
CONVERSATIONS = [{"from": "human", "value": "Hi {role}"}, {"from": "gpt", "value": "Hello"}]


@pytest.mark.parametrize(
    ("layout", "value", "expected"),
    [
        ("messages", {"messages": MESSAGES}, ASKED),
        ("sharegpt", {"conversations": CONVERSATIONS}, ASKED),
        ("alpaca", {"instruction": "Hi", "input": "{role}", "output": "Hello"}, ASKED.replace("Hi {", "Hi\n\n{")),
        ("prompt_response", {"prompt": "Hi {role}", "response": "Hello"}, ASKED),
        ("alpaca", {"history": [["a", "b"]], "instruction": "c", "input": "", "output": "d", "system": "s"},
         "System: s\n\nUser: a\n\nAssistant: b\n\nUser: c\n\nAssistant: d"),
        ("messages", {"messages": [{"role": "user", "content": [{"type": "text", "text": "x"}, {"type": "image_url"}]},
         {"role": "assistant", "content": None, "tool_calls": [{"function": {"name": "f", "arguments": "{}"}}]},
         {"role": "tool", "content": "5"}]}, 'User: x\n\nCall: {"arguments": "{}", "name": "f"}\n\nTool: 5'),
    ],
)  # fmt: skip
def test_layouts_have_one_form(layout: Any, value: dict[str, Any], expected: str) -> None:
    assert dialogue_text(value, DialogueConfig(layout=layout)) == expected


def test_words_and_template_are_declared() -> None:
    config = DialogueConfig(
        layout="sharegpt", turn="<{role}>{content}", separator="\n", roles={"gpt": "A", "human": "Q", "system": ""}
    )
    turns = [{"from": "system", "value": "s"}, {"from": "human", "value": "x"}, {"from": "gpt", "value": "y"}]
    assert dialogue_text({"conversations": turns}, config) == "<Q>x\n<A>y"
    with pytest.raises(ValueError, match=r"has no \{content\}"):
        DialogueConfig(layout="alpaca", turn="{role}")
    with pytest.raises(ValueError, match="has no fields with turns"):
        ReaderConfig(format="pdf", dialogue=config)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({}, "no list of turns"),
        ({"conversations": [{"from": "narrator", "value": "x"}]}, "'narrator' has no word"),
        ({"conversations": ["x"]}, "turn 0 has no 'from'"),
        ({"conversations": [{"from": "human", "value": 5}]}, "is a int"),
        ({"conversations": [{"from": "human", "value": " "}]}, "no turn with text"),
    ],
)
def test_a_dialogue_that_is_none_says_why(value: dict[str, Any], words: str) -> None:
    found = dialogue_text(value, DialogueConfig(layout="sharegpt"))
    assert isinstance(found, NoDialogue)
    assert words in found.detail


@pytest.mark.parametrize(
    ("name", "dialogue"),
    [
        ("alpaca_zh_demo", {"layout": "alpaca"}),
        ("dolly_hhrlhf_train_small", {"layout": "prompt_response"}),
        ("glaive_toolcall_en_demo", {"layout": "sharegpt"}),
        ("sharegpt_zh_1k", {"layout": "sharegpt"}),
    ],
)
def test_real_sets_keep_every_turn(name: str, dialogue: dict[str, Any]) -> None:
    path = shared(f"sft/{name}.jsonl.zst")
    rows = shared_records(f"sft/{name}.jsonl.zst")
    items = list(read_records(path, "x", ReaderConfig(format="jsonl", dialogue=dialogue)))  # type: ignore[arg-type]
    assert len(items) == len(rows)
    for item, row in zip(items, rows, strict=True):
        assert isinstance(item, Record), item
        texts = (
            [turn["value"] for turn in row["conversations"]]
            if "conversations" in row
            else [text for key, text in row.items() if key in ("instruction", "input", "output", "prompt", "response")]
        )
        assert all(text in str(item.body) for text in texts if text.strip())
